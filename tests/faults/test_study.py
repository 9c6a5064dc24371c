"""Covered: studies of several series with one result: SIGKILL of the worker in each step, of
the Storage SCP and of PostgreSQL, loss of all messages, two workers, a series that kills its
workers, SIGKILL while a result is withdrawn.

Every study ends with one SR and one SC at the PACS, and every series with a state and a reason.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import redis
from pydicom import dcmread

from db.history import StudyHistory
from db.states import RunOutcome, SeriesState, StudyState, WithdrawalReason
from tests.faults.conftest import start_worker
from tests.support.quick_series import QuickSeries
from tests.support.servers import wait_for
from tests.support.study_series import WrittenStudy, soft, write_study
from tests.support.system_under_test import TIMEOUT_SECONDS, SystemUnderTest, held_by

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(1800)]

STEPS = {
    "headers": "worker.screening.study_run.rank",
    "pixels": "worker.pipeline.load.read_volume",
    "screened, attempt not forgotten": "db.study_leases.end_series",
    "before the files": "worker.screening.outputs.write_files",
    "files written, rows not": "db.study_results.save_study",
    "rows written, message not sent": "common.task_publisher.TaskPublisher.deliver",
    "answered, not recorded": "worker.delivery.deliver_screening._send:after",
}
WITHDRAWAL_STEPS = {
    "note written, rows not": ("db.study_results.save_study", ""),
    "rows written, files not marked": ("worker.screening.screen_study.mark_withdrawn", ""),
    "note stored, not recorded": ("worker.delivery.deliver_screening._send:after", "role='ko'"),
}
KILLED = -9
ENDS = {
    "localizer": SeriesState.REJECTED,
    "sharp": SeriesState.NOT_SELECTED,
    "soft": SeriesState.DELIVERED,
}


@pytest.fixture
def per_study(scp_only: SystemUnderTest) -> Iterator[SystemUnderTest]:
    """The system with one result a study, without a running worker."""
    settings = scp_only.settings
    before = dict(settings)
    settings.update(RESULT_PER="study", STUDY_QUIET_SECONDS=3)
    scp_only.scp.stop()
    scp_only.start_scp()
    yield scp_only
    settings.clear()
    settings.update(before)
    scp_only.worker.stop()
    scp_only.scp.stop()


def find(system: SystemUnderTest, study: WrittenStudy) -> StudyHistory:
    found = system.record.find_study(study.uid)
    assert found is not None
    return found


def check(system: SystemUnderTest, studies: list[WrittenStudy]) -> list[StudyHistory]:
    """Wait until all studies are delivered, and assert that each has one SR and one SC."""

    def delivered() -> bool:
        found = [system.record.find_study(study.uid) for study in studies]
        return all(one and one.study.state is StudyState.DELIVERED for one in found)

    wait_for(delivered, "the studies to be delivered", TIMEOUT_SECONDS * 2)
    histories = [find(system, study) for study in studies]
    expected = Counter(
        sent.result_object.sop_instance_uid
        for history in histories
        for sent in history.deliveries
    )
    assert held_by(system.orthanc) == expected
    for study, history in zip(studies, histories, strict=True):
        assert [sent.result_object.role for sent in history.deliveries] == [
            "sr", "sc", "overlay",
        ]  # fmt: skip
        by_uid = {one.series_instance_uid: one.state for one in history.series}
        assert {name: by_uid[study.uid_of(name)] for name in study.files} == ENDS
        assert all(run.finished_at is not None for run in history.screenings)
    return histories


def outcomes(history: StudyHistory) -> list[RunOutcome | None]:
    return [run.outcome for run in history.screenings]


def test_a_worker_killed_in_any_step_leaves_one_sr_and_one_sc_a_study(
    per_study: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    studies = []
    for number, step in enumerate(STEPS.values()):
        studies.append(write_study(quick, tmp_path / str(number)))
        per_study.send_all(studies[-1].paths)
        start_worker(per_study, FAULT_KILL_AT=step)
        assert per_study.worker.wait(300) == KILLED, (step, per_study.worker.log)
    start_worker(per_study)

    histories = check(per_study, studies)

    runs = [outcome for history in histories for outcome in outcomes(history)]
    assert runs.count(RunOutcome.SCREENED) == len(STEPS)
    assert set(runs) == {RunOutcome.SCREENED, RunOutcome.EXPIRED}


def test_a_series_that_kills_its_workers_yields_to_the_next(
    per_study: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    per_study.settings["MAX_ATTEMPTS"] = 1
    study = write_study(quick, tmp_path / "study")
    per_study.send_all(study.paths)
    start_worker(per_study, FAULT_KILL_AT=STEPS["pixels"])
    assert per_study.worker.wait(300) == KILLED
    start_worker(per_study)

    def ended() -> bool:
        return find(per_study, study).study.state is StudyState.DELIVERED

    wait_for(ended, "the study to be delivered", TIMEOUT_SECONDS)
    history = find(per_study, study)
    by_uid = {one.series_instance_uid: one.state for one in history.series}
    assert by_uid[study.uid_of("soft")] is SeriesState.FAILED
    assert by_uid[study.uid_of("sharp")] is SeriesState.DELIVERED
    warnings = history.screenings[-1].warnings or []
    assert any("could not be screened" in text for text in warnings)


def test_a_killed_scp_and_lost_messages_lose_no_study(
    per_study: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    studies = [write_study(quick, tmp_path / str(number)) for number in range(3)]
    for study in studies:
        per_study.send_all(study.files["localizer"] + study.files["sharp"])
    per_study.scp.kill()
    per_study.start_scp()
    for study in studies:
        per_study.send_all(study.files["soft"])
    per_study.scp.kill()
    per_study.start_scp()
    start_worker(per_study)
    with redis.Redis.from_url(per_study.redis.url) as client:
        client.flushall()

    check(per_study, studies)


def test_a_killed_postgresql_loses_no_study(
    per_study: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    start_worker(per_study)
    first, second = (write_study(quick, tmp_path / name) for name in ("first", "second"))
    per_study.send_all(first.paths)
    uid = first.uid_of("soft")
    per_study.record.wait_until(uid, {SeriesState.SCREENING}, seconds=TIMEOUT_SECONDS)

    per_study.postgres.kill()
    per_study.send_all(second.paths)
    per_study.postgres.start()

    check(per_study, [first, second])


def test_two_workers_screen_each_study_once(
    per_study: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    start_worker(per_study)
    studies = [write_study(quick, tmp_path / str(number)) for number in range(4)]
    with per_study.another_worker():
        for study in studies:
            per_study.send_all(study.paths)

        histories = check(per_study, studies)

    assert [outcomes(history) for history in histories] == [[RunOutcome.SCREENED]] * 4


def correct(paths: Iterable[Path], patient_id: str) -> None:
    """Change the PatientID in place: the same instances with other bytes."""
    for path in paths:
        ds = dcmread(path)
        ds.PatientID = patient_id
        ds.save_as(path)


def test_a_worker_killed_while_it_withdraws_leaves_one_note_a_study(
    per_study: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    series = {"soft": soft}
    studies = [
        write_study(quick, tmp_path / str(number), series)
        for number in range(len(WITHDRAWAL_STEPS))
    ]
    start_worker(per_study)
    for study in studies:
        per_study.send_all(study.paths)
    old = wait_for_delivered(per_study, studies, revision=1)
    per_study.worker.stop()

    for study, (step, on) in zip(studies, WITHDRAWAL_STEPS.values(), strict=True):
        correct(study.paths, "CORRECTED-1")
        per_study.send_all(study.paths)
        start_worker(per_study, FAULT_KILL_AT=step, FAULT_KILL_ON=on)
        assert per_study.worker.wait(300) == KILLED, (step, per_study.worker.log)
    start_worker(per_study)

    new = wait_for_delivered(per_study, studies, revision=2)
    sent = [one.result_object for history in new for one in history.deliveries]
    assert held_by(per_study.orthanc) == Counter(one.sop_instance_uid for one in sent)
    for before, after in zip(old, new, strict=True):
        roles = [one.result_object.role for one in after.deliveries]
        assert sorted(roles) == ["ko", "overlay", "overlay", "sc", "sc", "sr", "sr"]
        (note,) = [one for one in after.deliveries if one.result_object.role == "ko"]
        assert note.delivery.screening_id == before.screenings[-1].id
        withdrawn = {run.id: run.withdrawal_reason for run in after.screenings}
        assert withdrawn[note.delivery.screening_id] is WithdrawalReason.WRONG_PATIENT
        folder = (per_study.spool_dir / note.result_object.path).parent
        (entry,) = json.loads((folder / "study.json").read_text())
        assert entry["withdrawn"]["reason"] == "wrong_patient"


def wait_for_delivered(
    system: SystemUnderTest, studies: list[WrittenStudy], *, revision: int
) -> list[StudyHistory]:
    def delivered() -> bool:
        found = [system.record.find_study(study.uid) for study in studies]
        return all(
            one and one.study.state is StudyState.DELIVERED and one.study.revision >= revision
            for one in found
        )

    wait_for(delivered, "the studies to be delivered", TIMEOUT_SECONDS * 2)
    return [find(system, study) for study in studies]
