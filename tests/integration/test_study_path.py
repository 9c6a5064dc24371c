"""The path of a study with one result on real servers: storescu to Orthanc.

Covered: a routed study of several series sent interleaved, a late better series, a late series
that changes nothing, changed content of another sender, a study without a gradable series,
``show`` and ``status`` of a study, a corrected patient, ``withdraw`` by UID and by model.

Not covered: faults of processes (tests/faults/test_study.py).
"""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from db.states import DeliveryState, RunOutcome, SeriesState, StudyState, WithdrawalReason
from tests.support.quick_series import QuickSeries, make_quick_series
from tests.support.report_tree import predecessor_of, rejected_by
from tests.support.servers import wait_for
from tests.support.study_series import (
    localizer,
    rewrite,
    sharp,
    soft,
    soft_study,
    states,
    write_study,
)
from tests.support.worker_cli import run_worker, worker_json
from tests.support.worker_fixture import StartServices, WorkerFixture
from tests.validators.run import run_validator

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(1800)]

SECONDS = 600.0


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> QuickSeries:
    return make_quick_series(tmp_path_factory.mktemp("quick"))


@pytest.fixture(scope="module")
def fixture(start_services: StartServices) -> WorkerFixture:
    """Storage SCP and worker that give one result a study, and a PACS."""
    return start_services(
        lambda orthanc: [orthanc.dimse_destination()],
        RESULT_PER="study",
        STUDY_QUIET_SECONDS=3,
        SWEEP_SECONDS=1,
    )


@pytest.fixture(scope="module")
def settings(fixture: WorkerFixture) -> dict[str, object]:
    return fixture.settings


@pytest.mark.covers("R5")
def test_a_study_of_several_series_gives_one_sr_and_one_sc(
    fixture: WorkerFixture, settings: dict[str, object], quick: QuickSeries, tmp_path: Path
) -> None:
    study = write_study(quick, tmp_path / "study")
    halves = study.paths[::2], study.paths[1::2]  # interleaved over two associations

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda paths: fixture.send(paths), halves))
    history = fixture.record.wait_until_study(study.uid)

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
    assert len(fixture.objects(study.uid)) == 3
    assert {one.delivery.state for one in history.deliveries} == {DeliveryState.CONFIRMED}

    shown = worker_json("show", study.uid, cwd=tmp_path, settings=settings)
    ranks = {one["series_uid"]: one["rank"] for one in shown["series"]}
    assert {name: ranks[study.uid_of(name)] for name in study.files} == {
        "localizer": None, "sharp": 2, "soft": 1,
    }  # fmt: skip
    assert run_worker("show", study.uid, cwd=tmp_path, settings=settings).returncode == 0
    status = worker_json("status", cwd=tmp_path, settings=settings)
    assert status["studies"]["delivered"] >= 1


@pytest.mark.covers("H10")
def test_a_better_series_after_the_report_replaces_it_and_a_worse_one_does_not(
    fixture: WorkerFixture, quick: QuickSeries, tmp_path: Path
) -> None:
    study = write_study(
        quick, tmp_path / "study", {"sharp": sharp, "soft": soft, "other sharp": sharp}
    )
    fixture.send(study.files["sharp"])
    fixture.record.wait_until_study(study.uid)
    (first,) = fixture.reports(study.uid)

    fixture.send(study.files["other sharp"])
    history = fixture.record.wait_until_study(study.uid, 2)
    by_uid = {one.series_instance_uid: one.state for one in history.series}
    assert by_uid[study.uid_of("other sharp")] is SeriesState.NOT_SELECTED
    assert [run.outcome for run in history.screenings][-1] is RunOutcome.UNCHANGED
    assert len(fixture.reports(study.uid)) == 1

    fixture.send(study.files["soft"])
    history = fixture.record.wait_until_study(study.uid, 3)

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
    assert predecessor_of(newest[0]) in {
        one.SOPInstanceUID for one in fixture.reports(study.uid)
    }
    assert first.SOPInstanceUID in {one.SOPInstanceUID for one in fixture.reports(study.uid)}
    (note,) = fixture.notes(study.uid)
    assert note.ConceptNameCodeSequence[0].CodeValue == "113037"
    assert first.SOPInstanceUID in rejected_by(note)
    assert newest[0].SOPInstanceUID not in rejected_by(note)


def test_changed_content_of_another_sender_is_screened_when_accepted(
    fixture: WorkerFixture, settings: dict[str, object], quick: QuickSeries, tmp_path: Path
) -> None:
    study = write_study(quick, tmp_path / "study", {"soft": soft})
    fixture.send(study.files["soft"])
    fixture.record.wait_until_study(study.uid)
    for path in study.files["soft"]:
        ds = dcmread(path)
        ds.AccessionNumber = "CORRECTED"
        ds.save_as(path)

    fixture.send(study.files["soft"], calling="OTHER")
    count = len(study.files["soft"])
    assert wait_for(
        lambda: sum(one.instances for one in fixture.record.study(study.uid).held) == count,
        "the content to be held",
        SECONDS,
    )
    assert fixture.record.study(study.uid).study.state is StudyState.DELIVERED
    status = worker_json("status", cwd=tmp_path, settings=settings)
    assert study.uid in {one["study_uid"] for one in status["held"]}
    unknown = run_worker("accept", "1.2.3.4", cwd=tmp_path, settings=settings)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    accepted = run_worker("accept", study.uid, cwd=tmp_path, settings=settings)
    assert accepted.returncode == 0, accepted.stderr
    history = fixture.record.wait_until_study(study.uid, 2)

    assert history.study.state is StudyState.DELIVERED
    reports = {one.AccessionNumber: one for one in fixture.reports(study.uid)}
    assert len(reports) == 2
    new = reports.pop("CORRECTED")
    (first,) = reports.values()
    assert predecessor_of(new) == first.SOPInstanceUID


def test_a_study_without_a_gradable_series_has_nothing_to_report(
    fixture: WorkerFixture, quick: QuickSeries, tmp_path: Path
) -> None:
    study = write_study(quick, tmp_path / "study", {"localizer": localizer})

    fixture.send(study.paths)
    history = fixture.record.wait_until_study(study.uid)

    assert history.study.state is StudyState.NOTHING_TO_REPORT
    assert history.study.reason_code == "LOCALIZER"
    assert states(history, study) == {"localizer": SeriesState.REJECTED}
    assert fixture.objects(study.uid) == {}


def validate(note: Dataset, folder: Path) -> None:
    path = folder / "note.dcm"
    note.save_as(path)
    for validator in ("dciodvfy", "PixelMed"):
        summary = run_validator(validator, [path])
        assert (summary.errors, summary.unknown_warnings) == ((), ()), validator


def previous_results(report: Dataset) -> list[str]:
    """Return the sentences of a report about earlier results."""
    return re.findall(r"Previous result, [^\"]*", report.to_json())


@pytest.mark.covers("H8")
def test_a_corrected_patient_gets_a_report_and_the_old_one_is_rejected(
    fixture: WorkerFixture, quick: QuickSeries, tmp_path: Path
) -> None:
    study = soft_study(quick, tmp_path / "study", PatientID="OLD-1")
    fixture.send(study.paths)
    fixture.record.wait_until_study(study.uid)
    old = fixture.objects(study.uid)
    (old_report,) = fixture.reports(study.uid)

    fixture.send(rewrite(study.paths, tmp_path / "corrected", PatientID="CORRECTED-1"))
    history = fixture.record.wait_until_study(study.uid, 2)

    assert history.study.state is StudyState.DELIVERED
    (note,) = fixture.notes(study.uid)
    assert note.ConceptNameCodeSequence[0].CodeValue == "113038"
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID"):
        assert note[keyword].value == old_report[keyword].value
    old_uids = {str(one.SOPInstanceUID) for one in old.values()}
    assert set(rejected_by(note)) == old_uids
    validate(note, tmp_path)
    (new_report,) = [
        one for one in fixture.reports(study.uid) if one.PatientID == "CORRECTED-1"
    ]
    assert "PredecessorDocumentsSequence" not in new_report
    old_series = {str(one.SeriesInstanceUID) for one in old.values()}
    links = {*old_uids, *old_series, str(old_report.PatientID)}
    assert [one for one in links if one in new_report.to_json()] == []
    first, second = history.screenings
    assert first.withdrawal_reason is WithdrawalReason.WRONG_PATIENT
    assert (first.replaced_by, second.withdrawn_at) == (second.id, None)

    corrected = {"PatientID": "CORRECTED-1"}
    of_old = soft_study(quick, tmp_path / "of old", years=1, PatientID="OLD-1")
    of_new = soft_study(quick, tmp_path / "of new", years=1, **corrected)
    other_name = {**corrected, "PatientName": "Other^Name"}
    namesake = soft_study(quick, tmp_path / "namesake", years=1, **other_name)
    for one in (of_old, of_new, namesake):
        fixture.send(one.paths)
    quoted = {}
    for name, one in (("old", of_old), ("new", of_new), ("namesake", namesake)):
        fixture.record.wait_until_study(one.uid)
        (report,) = fixture.reports(one.uid)
        quoted[name] = len(previous_results(report))
    assert quoted == {"old": 0, "new": 1, "namesake": 0}


@pytest.mark.covers("H10")
def test_an_operator_withdraws_a_study_and_recalls_a_model(
    fixture: WorkerFixture, settings: dict[str, object], quick: QuickSeries, tmp_path: Path
) -> None:
    study = write_study(quick, tmp_path / "study", {"soft": soft})
    fixture.send(study.paths)
    history = fixture.record.wait_until_study(study.uid)
    objects = fixture.objects(study.uid)
    uids = {str(one.SOPInstanceUID) for one in objects.values()}
    version = str(history.screenings[-1].model_version)

    def withdraw(*arguments: str) -> list[dict[str, Any]]:
        found = worker_json("withdraw", *arguments, cwd=tmp_path, settings=settings)
        withdrawn: list[dict[str, Any]] = found["withdrawn"]
        return withdrawn

    (planned,) = withdraw(study.uid, "--dry-run")
    assert {one["sop_uid"] for one in planned["objects"]} == uids
    assert planned["destinations"] == ["pacs"]
    assert fixture.record.wait_until_study(study.uid).screenings[-1].withdrawn_at is None

    assert withdraw(sorted(uids)[0]) == [planned]
    wait_for(lambda: fixture.notes(study.uid), "the rejection note", SECONDS)
    fixture.record.wait_until_study(study.uid)
    (note,) = fixture.notes(study.uid)
    assert set(rejected_by(note)) == uids
    assert note.ConceptNameCodeSequence[0].CodeValue == "113037"
    assert withdraw(study.uid) == []
    shown = worker_json("show", study.uid, cwd=tmp_path, settings=settings)
    assert shown["withdrawn"]["reason"] == "operator"
    table = run_worker("show", study.uid, cwd=tmp_path, settings=settings)
    assert "withdrawn" in table.stdout
    status = worker_json("status", cwd=tmp_path, settings=settings)
    assert status["withdrawn"]["operator"] == 1
    (written,) = Path(str(settings["SPOOL_DIR"])).glob(f"results/{study.uid}/r1/study.json")
    assert json.loads(written.read_text())[0]["withdrawn"]["reason"] == "operator"

    other = write_study(quick, tmp_path / "other", {"soft": soft})
    fixture.send(other.paths)
    fixture.record.wait_until_study(other.uid)
    recalled = withdraw("--model", version, "--dry-run")
    assert other.uid in {one["study_uid"] for one in recalled}
    assert study.uid not in {one["study_uid"] for one in recalled}
    assert withdraw("--model", version) == recalled
    wait_for(lambda: fixture.notes(other.uid), "the rejection note", SECONDS)
    assert withdraw("--model", version) == []
    unknown = run_worker("withdraw", "1.2.3.4.5", cwd=tmp_path, settings=settings)
    assert unknown.returncode == 1
    assert "1.2.3.4.5" in unknown.stderr
