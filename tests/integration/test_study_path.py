"""The path of a study with one result on real servers: storescu to Orthanc.

Covered: a routed study of several series sent interleaved, a late better series, a late series
that changes nothing, changed content of another sender, a study without a gradable series,
``show`` and ``status`` of a study.

Not covered: faults of processes (tests/faults/test_study.py).
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom import dcmread

from db.history import StudyHistory
from db.states import DeliveryState, RunOutcome, SeriesState, StudyState
from deploy.demo.embedded import Postgres, Valkey, free_port
from tests.support.databases import fresh_database
from tests.support.history import Record
from tests.support.quick_series import QuickSeries, make_quick_series
from tests.support.servers import running_orthanc, storescu, wait_for
from tests.support.services import run_celery, run_storescp
from tests.support.study_series import WrittenStudy, localizer, sharp, soft, write_study
from tests.support.worker_cli import run_worker
from tests.support.worker_fixture import WorkerFixture

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(1800)]

SECONDS = 600.0


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> QuickSeries:
    return make_quick_series(tmp_path_factory.mktemp("quick"))


@pytest.fixture(scope="module")
def settings(
    tmp_path_factory: pytest.TempPathFactory, redis_server: Valkey, model_dir: Path
) -> dict[str, object]:
    return {
        "RESULT_PER": "study",
        "QUIET_SECONDS": 1,
        "STUDY_QUIET_SECONDS": 3,
        "SWEEP_SECONDS": 1,
        "MIN_FREE_MB": 1,
        "BROKER_URL": redis_server.url,
        "SPOOL_DIR": tmp_path_factory.mktemp("study") / "spool",
        "MODEL_DIR": model_dir,
        "HOST": "127.0.0.1",
        "PORT": free_port(),
    }


@pytest.fixture(scope="module")
def fixture(
    settings: dict[str, object],
    postgres: Postgres,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[WorkerFixture]:
    """Storage SCP and worker that give one result a study, and a PACS."""
    folder = tmp_path_factory.mktemp("study_fixture")
    with ExitStack() as stack:
        orthanc = stack.enter_context(running_orthanc(folder / "orthanc"))
        settings["DATABASE_URL"] = stack.enter_context(
            fresh_database(postgres, migrated_template)
        )
        settings["DESTINATIONS"] = [orthanc.dimse_destination()]
        scp = run_storescp(stack, settings, folder)
        worker = run_celery(stack, settings, folder)
        record = stack.enter_context(Record(str(settings["DATABASE_URL"])))
        yield WorkerFixture(
            record,
            orthanc,
            Path(str(settings["SPOOL_DIR"])),
            int(str(settings["PORT"])),
            lambda: scp.log + worker.log,
        )


def send(fixture: WorkerFixture, paths: tuple[Path, ...], calling: str = "MODALITY") -> None:
    sent = storescu(paths, fixture.port, calling=calling)
    assert sent.returncode == 0, sent.stderr


def wait_for_study(
    fixture: WorkerFixture, study: WrittenStudy, revision: int = 1
) -> StudyHistory:
    """Wait until a study has ended, with its deliveries, in a revision of its own."""
    ended = {StudyState.DELIVERED, StudyState.NOTHING_TO_REPORT, StudyState.FAILED}

    def reached() -> StudyHistory | None:
        history = fixture.record.find_study(study.uid)
        if history is None or history.study.revision < revision:
            return None
        return history if history.study.state in ended else None

    found = wait_for(reached, f"study {study.uid} to end", SECONDS)
    assert found is not None
    return found


def found(fixture: WorkerFixture, study: WrittenStudy) -> StudyHistory:
    """Return a study that is on record."""
    history = fixture.record.find_study(study.uid)
    assert history is not None
    return history


def states(history: StudyHistory, study: WrittenStudy) -> dict[str, SeriesState]:
    """Return the state of each series by its name."""
    by_uid = {one.series_instance_uid: one.state for one in history.series}
    return {name: by_uid[study.uid_of(name)] for name in study.files}


def test_a_study_of_several_series_gives_one_sr_and_one_sc(
    fixture: WorkerFixture, settings: dict[str, object], quick: QuickSeries, tmp_path: Path
) -> None:
    study = write_study(quick, tmp_path / "study")
    halves = study.paths[::2], study.paths[1::2]  # interleaved over two associations

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda paths: send(fixture, paths), halves))
    history = wait_for_study(fixture, study)

    assert history.study.state is StudyState.DELIVERED, history.study.error
    assert states(history, study) == {
        "localizer": SeriesState.REJECTED,
        "sharp": SeriesState.NOT_SELECTED,
        "soft": SeriesState.DELIVERED,
    }
    reasons = {one.series_instance_uid: one for one in history.series}
    assert reasons[study.uid_of("localizer")].reason_code == "LOCALIZER"
    assert "was preferred" in (reasons[study.uid_of("sharp")].reason_text or "")
    assert {one.series_id for one in history.hips} == {reasons[study.uid_of("soft")].id}
    assert [run.outcome for run in history.screenings] == [RunOutcome.SCREENED]
    assert len(fixture.objects(study.uid)) == 2
    assert {one.delivery.state for one in history.deliveries} == {DeliveryState.CONFIRMED}

    shown = run_worker("show", study.uid, "--json", cwd=tmp_path, settings=settings)
    ranks = {one["series_uid"]: one["rank"] for one in json.loads(shown.stdout)["series"]}
    assert {name: ranks[study.uid_of(name)] for name in study.files} == {
        "localizer": None, "sharp": 2, "soft": 1,
    }  # fmt: skip
    assert run_worker("show", study.uid, cwd=tmp_path, settings=settings).returncode == 0
    status = run_worker("status", "--json", cwd=tmp_path, settings=settings)
    assert json.loads(status.stdout)["studies"]["delivered"] >= 1


def test_a_better_series_after_the_report_replaces_it_and_a_worse_one_does_not(
    fixture: WorkerFixture, quick: QuickSeries, tmp_path: Path
) -> None:
    study = write_study(
        quick, tmp_path / "study", {"sharp": sharp, "soft": soft, "other sharp": sharp}
    )
    send(fixture, study.files["sharp"])
    wait_for_study(fixture, study)
    (first,) = fixture.reports(study.uid)

    send(fixture, study.files["other sharp"])
    history = wait_for_study(fixture, study, 2)
    by_uid = {one.series_instance_uid: one.state for one in history.series}
    assert by_uid[study.uid_of("other sharp")] is SeriesState.NOT_SELECTED
    assert [run.outcome for run in history.screenings][-1] is RunOutcome.UNCHANGED
    assert len(fixture.reports(study.uid)) == 1

    send(fixture, study.files["soft"])
    history = wait_for_study(fixture, study, 3)

    assert states(history, study) == {
        "sharp": SeriesState.NOT_SELECTED,
        "other sharp": SeriesState.NOT_SELECTED,
        "soft": SeriesState.DELIVERED,
    }
    newest = [
        report
        for report in fixture.reports(study.uid)
        if study.uid_of("soft") in report.to_json()
    ]
    assert len(newest) == 1
    predecessors = newest[0].PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    replaced = predecessors.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert replaced in {one.SOPInstanceUID for one in fixture.reports(study.uid)}
    assert first.SOPInstanceUID in {one.SOPInstanceUID for one in fixture.reports(study.uid)}


def test_changed_content_of_another_sender_is_screened_when_accepted(
    fixture: WorkerFixture, settings: dict[str, object], quick: QuickSeries, tmp_path: Path
) -> None:
    study = write_study(quick, tmp_path / "study", {"soft": soft})
    send(fixture, study.files["soft"])
    wait_for_study(fixture, study)
    for path in study.files["soft"]:
        ds = dcmread(path)
        ds.AccessionNumber = "CORRECTED"
        ds.save_as(path)

    send(fixture, study.files["soft"], calling="OTHER")
    count = len(study.files["soft"])
    assert wait_for(
        lambda: sum(one.instances for one in found(fixture, study).held) == count,
        "the content to be held",
        SECONDS,
    )
    assert found(fixture, study).study.state is StudyState.DELIVERED
    status = run_worker("status", "--json", cwd=tmp_path, settings=settings)
    assert study.uid in {one["study_uid"] for one in json.loads(status.stdout)["held"]}
    unknown = run_worker("accept", "1.2.3.4", cwd=tmp_path, settings=settings)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    accepted = run_worker("accept", study.uid, cwd=tmp_path, settings=settings)
    assert accepted.returncode == 0, accepted.stderr
    history = wait_for_study(fixture, study, 2)

    assert history.study.state is StudyState.DELIVERED
    reports = {one.AccessionNumber: one for one in fixture.reports(study.uid)}
    assert len(reports) == 2
    new = reports.pop("CORRECTED")
    replaced = new.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    (first,) = reports.values()
    assert replaced.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_a_study_without_a_gradable_series_has_nothing_to_report(
    fixture: WorkerFixture, quick: QuickSeries, tmp_path: Path
) -> None:
    study = write_study(quick, tmp_path / "study", {"localizer": localizer})

    send(fixture, study.paths)
    history = wait_for_study(fixture, study)

    assert history.study.state is StudyState.NOTHING_TO_REPORT
    assert history.study.reason_code == "LOCALIZER"
    assert states(history, study) == {"localizer": SeriesState.REJECTED}
    assert fixture.objects(study.uid) == {}
