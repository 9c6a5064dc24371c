"""The main job on real parts: dcmtk's storescu → Storage SCP → Redis and Celery → Orthanc.

Covered: coronal and axial, C-STORE and STOW-RS, every reason of rejection that a file can
have, and that Celery and the command line give the same result. Not covered: the quality of
grades (an untrained model is used), faults of servers (tests/faults).
"""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from pydicom import Dataset, dcmread

from db.states import DeliveryState, SeriesState
from deploy.embedded import Postgres, Redis, free_port
from tests.conftest import fresh_database, run_celery, run_storescp
from tests.history import Record
from tests.series import copy_series, simulate_small, study_of, uid_of
from tests.servers import Orthanc, child_environment, running_orthanc, storescu, wait_for
from worker.pipeline.results import ReasonCode

pytestmark = [pytest.mark.servers, pytest.mark.slow]

COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# Of two runs over the same series only these may differ.
VARIABLE = ("timings_ms", "outputs")


@dataclass(frozen=True)
class Ward:
    """Our processes and a PACS, shared by the tests of this module."""

    record: Record
    orthanc: Orthanc
    spool_dir: Path
    port: int
    logs: Callable[[], str]

    def send(self, paths: tuple[Path, ...]) -> str:
        """Send as a modality does; the Series Instance UID."""
        sent = storescu(paths, self.port)
        assert sent.returncode == 0, sent.stderr
        return uid_of(paths)

    def objects(self, study: str) -> dict[str, Dataset]:
        """What the PACS holds of a study, by SOP Class UID."""
        found = self.orthanc.find("Instance", StudyInstanceUID=study)
        files = [dcmread(io.BytesIO(self.orthanc.file(one["ID"]))) for one in found]
        assert len({str(ds.SOPClassUID) for ds in files}) == len(files), "an object is doubled"
        return {str(ds.SOPClassUID): ds for ds in files}

    def reports(self, study: str) -> list[Dataset]:
        """The SRs of a study at the PACS."""
        found = self.orthanc.find("Instance", StudyInstanceUID=study, Modality="SR")
        return [dcmread(io.BytesIO(self.orthanc.file(one["ID"]))) for one in found]


@pytest.fixture(scope="module")
def ward(
    postgres: Postgres,
    migrated_template: str,
    redis_server: Redis,
    model_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    with ExitStack() as stack:
        orthanc = stack.enter_context(running_orthanc(folder / "orthanc"))
        database_url = stack.enter_context(fresh_database(postgres, migrated_template))
        settings: dict[str, object] = {
            "DATABASE_URL": database_url,
            "BROKER_URL": redis_server.url,
            "SPOOL_DIR": folder / "spool",
            "MODEL_DIR": model_dir,
            "HOST": "127.0.0.1",
            "PORT": free_port(),
            "QUIET_SECONDS": 1,
            "MIN_FREE_MB": 1,
            "DESTINATIONS": [orthanc.dimse_destination(), orthanc.dicomweb_destination()],
        }
        scp = run_storescp(stack, settings, folder)
        worker = run_celery(stack, settings, folder)
        record = stack.enter_context(Record(database_url))
        yield Ward(
            record,
            orthanc,
            folder / "spool",
            int(str(settings["PORT"])),
            lambda: scp.log + worker.log,
        )


def localizer(_: int, ds: Dataset) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def inverted_picture(_: int, ds: Dataset) -> None:
    ds.PhotometricInterpretation = "MONOCHROME1"


def child(_: int, ds: Dataset) -> None:
    ds.PatientAge = "012Y"


def sagittal(index: int, ds: Dataset) -> None:
    ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    ds.ImagePositionPatient = [4.0 * index, -200.0, 200.0]


def two_frames_of_reference(index: int, ds: Dataset) -> None:
    ds.FrameOfReferenceUID = f"1.2.3.{index % 2}"


def truncated(_: int, ds: Dataset) -> None:
    ds.PixelData = ds.PixelData[:1000]


CHANGES = {
    ReasonCode.NOT_CT: inverted_picture,
    ReasonCode.LOCALIZER: localizer,
    ReasonCode.TOO_YOUNG: child,
    ReasonCode.ORIENTATION: sagittal,
    ReasonCode.MIXED: two_frames_of_reference,
    ReasonCode.UNDECODABLE: truncated,
}


@pytest.fixture(scope="module")
def rejected(
    coronal_series: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory
) -> dict[ReasonCode, tuple[Path, ...]]:
    """One series for each reason that a file can have, in one folder."""
    folder = tmp_path_factory.mktemp("rejected")
    changed = {
        reason: copy_series(coronal_series, folder / reason, change)
        for reason, change in CHANGES.items()
    }
    gap = coronal_series[:20] + coronal_series[26:]
    return {
        **changed,
        ReasonCode.TOO_FEW_SLICES: copy_series(coronal_series[:8], folder / "few"),
        ReasonCode.GAPS: copy_series(gap, folder / "gap"),
        ReasonCode.NO_FEMUR: simulate_small(
            folder / "abdomen", "coronal", view="abdomen", seed=13
        ),
        ReasonCode.METAL: simulate_small(
            folder / "metal", "coronal", condition="metal-both", seed=14
        ),
    }


@pytest.mark.parametrize("plane", ["coronal", "axial"])
def test_sr_and_sc_of_a_series_arrive_in_its_study_by_both_ways(
    ward: Ward, plane: str, request: pytest.FixtureRequest
) -> None:
    paths: tuple[Path, ...] = request.getfixturevalue(f"{plane}_series")

    uid = ward.send(paths)
    history = ward.record.wait_until(uid)

    assert history.series.state is SeriesState.DELIVERED, history.series.error
    assert {
        (sent.delivery.destination, sent.result_object.role, sent.delivery.state)
        for sent in history.deliveries
    } == {
        (destination, role, DeliveryState.CONFIRMED)
        for destination in ("pacs", "archive")
        for role in ("sr", "sc")
    }
    objects = ward.objects(study_of(paths))
    assert set(objects) == {COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE}
    source = dcmread(paths[0], stop_before_pixels=True)
    for ds in objects.values():
        assert ds.PatientID == source.PatientID
        assert ds.PatientName == source.PatientName
        assert ds.AccessionNumber == source.AccessionNumber


def test_what_cannot_be_graded_is_rejected_with_its_reason_and_nothing_is_sent(
    ward: Ward, rejected: dict[ReasonCode, tuple[Path, ...]]
) -> None:
    uids = {reason: ward.send(paths) for reason, paths in rejected.items()}

    found = {reason: ward.record.wait_until(uid).series for reason, uid in uids.items()}

    assert {reason: one.reason_code for reason, one in found.items()} == {
        reason: reason.value for reason in rejected
    }
    assert {one.state for one in found.values()} == {SeriesState.REJECTED}
    assert all(one.reason_text for one in found.values())
    for paths in rejected.values():
        assert ward.objects(study_of(paths)) == {}


def test_celery_and_the_command_line_give_the_same_result(
    ward: Ward,
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
        if ward.record.find(uid_of(paths)) is None:
            ward.send(paths)

    ended = subprocess.run(
        [
            *(sys.executable, "-m", "worker", "screen", str(folder)),
            *("--out", str(tmp_path / "out"), "--model", str(model_dir)),
        ],
        env=child_environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert ended.returncode == 0, ended.stderr
    by_command_line = json.loads((tmp_path / "out" / "result.json").read_text())
    assert len(by_command_line) == len(series)
    for entry in by_command_line:
        by_celery = ward.record.wait_until(entry["series_uid"]).screenings[-1].result
        assert comparable(by_celery or {}) == comparable(entry)


def test_result_json_of_a_revision_lies_beside_its_objects(
    ward: Ward, coronal_series: tuple[Path, ...], tmp_path: Path
) -> None:
    uid = ward.send(copy_series(coronal_series, tmp_path / "series"))

    result = ward.record.wait_until(uid).screenings[-1].result

    assert result is not None
    folders = {Path(path).parent for path in result["outputs"].values()}
    (folder,) = folders
    assert json.loads((folder / "result.json").read_text()) == [result]
    assert {path.name for path in folder.iterdir()} == {
        "sr.dcm", "sc.dcm", "sc.png", "result.json"
    }  # fmt: skip


def comparable(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in VARIABLE}


def test_one_bad_series_does_not_stop_the_good_ones_of_its_study(
    ward: Ward, coronal_series: tuple[Path, ...], tmp_path: Path
) -> None:
    good = copy_series(coronal_series, tmp_path / "good")
    study = study_of(good)

    def scout_of_the_same_study(index: int, ds: Dataset) -> None:
        localizer(index, ds)
        ds.StudyInstanceUID = study

    scout = copy_series(coronal_series[:2], tmp_path / "scout", scout_of_the_same_study)
    sent = storescu([*good, *scout], ward.port)
    assert sent.returncode == 0, sent.stderr

    assert ward.record.wait_until(uid_of(scout)).series.state is SeriesState.REJECTED
    assert ward.record.wait_until(uid_of(good)).series.state is SeriesState.DELIVERED
    assert len(ward.objects(study)) == 2


def test_changed_content_gives_a_new_report_that_names_the_one_it_replaces(
    ward: Ward, coronal_series: tuple[Path, ...], tmp_path: Path
) -> None:
    paths = copy_series(coronal_series, tmp_path / "series")
    uid = ward.send(paths)
    ward.record.wait_until(uid)
    (first,) = ward.reports(study_of(paths))
    ds = dcmread(paths[0])
    ds.ImageComments = "corrected"
    ds.save_as(paths[0])

    ward.send(paths[:1])
    wait_for(lambda: len(ward.reports(study_of(paths))) == 2, "the second report", seconds=120)

    history = ward.record.wait_until(uid)
    assert [run.revision for run in history.screenings] == [1, 2]
    second = next(
        report
        for report in ward.reports(study_of(paths))
        if report.SOPInstanceUID != first.SOPInstanceUID
    )
    (study,) = second.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (replaced,) = series.ReferencedSOPSequence
    assert replaced.ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_the_report_of_a_patient_who_was_here_before_says_what_was_found_then(
    ward: Ward, coronal_series: tuple[Path, ...], tmp_path: Path
) -> None:
    def at(day: str) -> Callable[[int, Dataset], None]:
        def change(_: int, ds: Dataset) -> None:
            ds.PatientID, ds.StudyDate = "RETURNS", day

        return change

    earlier = copy_series(coronal_series, tmp_path / "earlier", at("20240102"))
    later = copy_series(coronal_series, tmp_path / "later", at("20260304"))

    ward.record.wait_until(ward.send(earlier))
    ward.record.wait_until(ward.send(later))

    (first,), (second,) = ward.reports(study_of(earlier)), ward.reports(study_of(later))
    assert "Previous result" not in text_of(first)
    assert "Previous result, 2024-01-02" in text_of(second)


def text_of(report: Dataset) -> str:
    return "\n".join(e.value for e in report.iterall() if e.keyword == "TextValue")


def test_logs_name_series_and_never_the_patient(
    ward: Ward, coronal_series: tuple[Path, ...], tmp_path: Path
) -> None:
    def known_patient(_: int, ds: Dataset) -> None:
        ds.PatientName, ds.PatientID = "Unmistakable^Person", "ID-4711-42"
        ds.PatientBirthDate, ds.AccessionNumber = "19410203", "ACC-4711-42"

    paths = copy_series(coronal_series, tmp_path / "series", known_patient)
    uid = ward.send(paths)
    ward.record.wait_until(uid)

    log = ward.logs()
    assert uid in log
    for secret in ("Unmistakable", "ID-4711-42", "19410203", "ACC-4711-42"):
        assert secret not in log
