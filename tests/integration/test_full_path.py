"""The whole path on real servers: storescu → Storage SCP → Redis and Celery → Orthanc.

Covered: coronal and axial series, C-STORE and STOW-RS, every reason of rejection that a file
can have, equal results of Celery and the command line. Not covered: the quality of grades (the
model is untrained), faults of servers (tests/faults).
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from db.states import DeliveryState, SeriesState
from tests.support.report_tree import predecessor_of, rejected_by
from tests.support.series import copy_series, study_of, uid_of
from tests.support.servers import storescu, wait_for
from tests.support.worker_cli import run_worker
from tests.support.worker_fixture import WorkerFixture, localizer
from worker.pipeline.reasons import ReasonCode

pytestmark = [pytest.mark.servers, pytest.mark.slow]

# Only these keys may differ between two runs over the same series.
VARIABLE = ("timings_ms", "outputs")


@pytest.mark.parametrize("plane", ["coronal", "axial"])
def test_sr_and_sc_arrive_in_the_study_by_c_store_and_by_stow_rs(
    worker_fixture: WorkerFixture, plane: str, request: pytest.FixtureRequest
) -> None:
    paths: tuple[Path, ...] = request.getfixturevalue(f"{plane}_series")

    uid = worker_fixture.send(paths)
    history = worker_fixture.record.wait_until(uid)

    assert history.series.state is SeriesState.DELIVERED, history.series.error
    assert {
        (sent.delivery.destination, sent.result_object.role, sent.delivery.state)
        for sent in history.deliveries
    } == {
        (destination, role, DeliveryState.CONFIRMED)
        for destination in ("pacs", "archive")
        for role in ("sr", "sc", "overlay")
    }
    objects = worker_fixture.objects(study_of(paths))
    assert set(objects) == {("SR", 1), ("OT", 1), ("OT", 2)}
    source = dcmread(paths[0], stop_before_pixels=True)
    for ds in objects.values():
        assert ds.PatientID == source.PatientID
        assert ds.PatientName == source.PatientName
        assert ds.AccessionNumber == source.AccessionNumber


@pytest.mark.covers("R10")
def test_a_series_that_cannot_be_graded_is_rejected_and_nothing_is_sent(
    worker_fixture: WorkerFixture, rejected: dict[ReasonCode, tuple[Path, ...]]
) -> None:
    uids = {reason: worker_fixture.send(paths) for reason, paths in rejected.items()}

    found = {
        reason: worker_fixture.record.wait_until(uid).series for reason, uid in uids.items()
    }

    assert {reason: one.reason_code for reason, one in found.items()} == {
        reason: reason.value for reason in rejected
    }
    assert {one.state for one in found.values()} == {SeriesState.REJECTED}
    for one in found.values():
        assert one.reason_text is not None
        assert one.reason_text.endswith(".")
    for paths in rejected.values():
        assert worker_fixture.objects(study_of(paths)) == {}


def test_celery_and_the_command_line_give_the_same_result(
    worker_fixture: WorkerFixture,
    coronal_series: tuple[Path, ...],
    axial_series: tuple[Path, ...],
    rejected: dict[ReasonCode, tuple[Path, ...]],
    model_dir: Path,
    tmp_path: Path,
) -> None:
    series = [coronal_series, axial_series, *rejected.values()]
    folder = tmp_path / "in"
    for number, paths in enumerate(series):
        shutil.copytree(paths[0].parent, folder / str(number))
        if worker_fixture.record.find(uid_of(paths)) is None:
            worker_fixture.send(paths)

    ended = run_worker(
        "screen", folder, "--out", tmp_path / "out", "--model", model_dir, cwd=tmp_path
    )

    assert ended.returncode == 0, ended.stderr
    by_command_line = json.loads((tmp_path / "out" / "result.json").read_text())
    assert len(by_command_line) == len(series)
    for entry in by_command_line:
        by_celery = worker_fixture.record.wait_until(entry["series_uid"]).screenings[-1].result
        assert comparable(by_celery or {}) == comparable(entry)


def test_result_json_of_a_revision_is_in_the_folder_of_its_objects(
    worker_fixture: WorkerFixture, coronal_series: tuple[Path, ...], tmp_path: Path
) -> None:
    uid = worker_fixture.send(copy_series(coronal_series, tmp_path / "series"))

    result = worker_fixture.record.wait_until(uid).screenings[-1].result

    assert result is not None
    folders = {Path(path).parent for path in result["outputs"].values()}
    (folder,) = folders
    assert json.loads((folder / "result.json").read_text()) == [result]
    assert {path.name for path in folder.iterdir()} == {
        "sr.dcm", "sc.dcm", "overlay.sc.dcm", "sc.png", "result.json"
    }  # fmt: skip


def comparable(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in VARIABLE}


def test_one_bad_series_does_not_stop_the_good_ones_of_its_study(
    worker_fixture: WorkerFixture, coronal_series: tuple[Path, ...], tmp_path: Path
) -> None:
    good = copy_series(coronal_series, tmp_path / "good")
    study = study_of(good)

    def scout_of_the_same_study(index: int, ds: Dataset) -> None:
        localizer(index, ds)
        ds.StudyInstanceUID = study

    scout = copy_series(coronal_series[:2], tmp_path / "scout", scout_of_the_same_study)
    sent = storescu([*good, *scout], worker_fixture.port)
    assert sent.returncode == 0, sent.stderr

    assert worker_fixture.record.wait_until(uid_of(scout)).series.state is SeriesState.REJECTED
    assert worker_fixture.record.wait_until(uid_of(good)).series.state is SeriesState.DELIVERED
    assert len(worker_fixture.objects(study)) == 3


def test_changed_content_gives_a_new_report_that_references_the_replaced_one(
    worker_fixture: WorkerFixture, coronal_series: tuple[Path, ...], tmp_path: Path
) -> None:
    paths = copy_series(coronal_series, tmp_path / "series")
    uid = worker_fixture.send(paths)
    worker_fixture.record.wait_until(uid)
    (first,) = worker_fixture.reports(study_of(paths))
    ds = dcmread(paths[0])
    ds.ImageComments = "corrected"
    ds.save_as(paths[0])

    worker_fixture.send(paths[:1])
    wait_for(
        lambda: len(worker_fixture.reports(study_of(paths))) == 2,
        "the second report",
        seconds=120,
    )

    history = worker_fixture.record.wait_until(uid)
    assert [run.revision for run in history.screenings] == [1, 2]
    second = next(
        report
        for report in worker_fixture.reports(study_of(paths))
        if report.SOPInstanceUID != first.SOPInstanceUID
    )
    assert predecessor_of(second) == first.SOPInstanceUID
    (note,) = worker_fixture.notes(study_of(paths))
    assert rejected_by(note) == [first.SOPInstanceUID]  # both revisions have the same picture


def test_the_report_of_a_returning_patient_lists_the_previous_result(
    worker_fixture: WorkerFixture, coronal_series: tuple[Path, ...], tmp_path: Path
) -> None:
    def at(day: str) -> Callable[[int, Dataset], None]:
        def change(_: int, ds: Dataset) -> None:
            ds.PatientID, ds.StudyDate = "RETURNS", day

        return change

    earlier = copy_series(coronal_series, tmp_path / "earlier", at("20240102"))
    later = copy_series(coronal_series, tmp_path / "later", at("20260304"))

    worker_fixture.record.wait_until(worker_fixture.send(earlier))
    worker_fixture.record.wait_until(worker_fixture.send(later))

    (first,), (second,) = (
        worker_fixture.reports(study_of(earlier)),
        worker_fixture.reports(study_of(later)),
    )
    assert "Previous result" not in text_of(first)
    assert "Previous result, 2024-01-02" in text_of(second)


def text_of(report: Dataset) -> str:
    return "\n".join(e.value for e in report.iterall() if e.keyword == "TextValue")


def test_logs_name_series_and_never_the_patient(
    worker_fixture: WorkerFixture, coronal_series: tuple[Path, ...], tmp_path: Path
) -> None:
    def known_patient(_: int, ds: Dataset) -> None:
        ds.PatientName, ds.PatientID = "Unmistakable^Person", "ID-4711-42"
        ds.PatientBirthDate, ds.AccessionNumber = "19410203", "ACC-4711-42"

    paths = copy_series(coronal_series, tmp_path / "series", known_patient)
    uid = worker_fixture.send(paths)
    worker_fixture.record.wait_until(uid)

    log = worker_fixture.logs()
    assert uid in log
    for secret in ("Unmistakable", "ID-4711-42", "19410203", "ACC-4711-42"):
        assert secret not in log
