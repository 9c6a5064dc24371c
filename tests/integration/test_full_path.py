"""The main job on real parts: dcmtk's storescu → Storage SCP → Redis and Celery → Orthanc.

Covered: coronal and axial, C-STORE and STOW-RS, every reason of rejection that a file can
have, and that Celery and the command line give the same result. Not covered: the quality of
grades (an untrained model is used), faults of servers (tests/faults).
"""

import io
import json
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
from tests.servers import Orthanc, child_environment, running_orthanc, storescu
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


def screen_by_command_line(
    paths: tuple[Path, ...], out: Path, model_dir: Path
) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, "-m", "worker", "screen", str(paths[0].parent)]
    ended = subprocess.run(
        [*command, "--out", str(out), "--model", str(model_dir)],
        env=child_environment(),
        cwd=out.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode in {0, 3}, ended.stderr
    return ended.returncode, json.loads((out / "result.json").read_text())


def comparable(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in VARIABLE}


@pytest.mark.parametrize("plane", ["coronal", "axial"])
def test_sr_and_sc_of_a_series_arrive_in_its_study_by_both_ways(
    ward: Ward, plane: str, request: pytest.FixtureRequest, tmp_path: Path, model_dir: Path
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

    code, (by_command_line,) = screen_by_command_line(paths, tmp_path / "out", model_dir)
    run = history.screenings[-1]
    assert code == 0
    assert run.result is not None
    assert by_command_line["orientation"] == plane
    assert comparable(run.result) == comparable(by_command_line)
    (on_disk,) = json.loads(
        (Path(run.result["outputs"]["sr"]).parent / "result.json").read_text()
    )
    assert on_disk == run.result
    for result in (run.result, by_command_line):
        assert all(Path(path).is_file() for path in result["outputs"].values())


def localizer(_: int, ds: Dataset) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def projection(_: int, ds: Dataset) -> None:
    ds.ImageType = ["DERIVED", "SECONDARY", "PROJECTION IMAGE"]


def child(_: int, ds: Dataset) -> None:
    ds.PatientAge = "012Y"


def sagittal(index: int, ds: Dataset) -> None:
    ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    ds.ImagePositionPatient = [4.0 * index, -200.0, 200.0]


def two_frames_of_reference(index: int, ds: Dataset) -> None:
    ds.FrameOfReferenceUID = f"1.2.3.{index % 2}"


def truncated(_: int, ds: Dataset) -> None:
    ds.PixelData = ds.PixelData[:1000]


Change = Callable[[int, Dataset], None]


@pytest.mark.parametrize(
    ("reason", "change", "chosen"),
    [
        (ReasonCode.LOCALIZER, localizer, slice(None)),
        (ReasonCode.TOO_YOUNG, child, slice(None)),
        (ReasonCode.ORIENTATION, sagittal, slice(None)),
        (ReasonCode.MIXED, two_frames_of_reference, slice(None)),
        (ReasonCode.UNDECODABLE, truncated, slice(None)),
        (ReasonCode.TOO_FEW_SLICES, None, slice(0, 8)),
        (ReasonCode.GAPS, None, slice(0, None, 2)),
    ],
    ids=str,
)
def test_a_series_that_cannot_be_graded_is_rejected_with_its_reason(
    ward: Ward,
    coronal_series: tuple[Path, ...],
    tmp_path: Path,
    model_dir: Path,
    reason: ReasonCode,
    change: Change | None,
    chosen: slice,
) -> None:
    chosen_paths = coronal_series[chosen]
    if reason is ReasonCode.GAPS:
        chosen_paths = coronal_series[:20] + coronal_series[26:]
    paths = copy_series(chosen_paths, tmp_path / "series", change)

    check_rejected(ward, paths, reason, tmp_path, model_dir)


@pytest.mark.parametrize(
    ("reason", "plane", "view", "condition"),
    [
        (ReasonCode.NO_FEMUR, "coronal", "abdomen", "none"),
        (ReasonCode.METAL, "coronal", "pelvis", "metal-both"),
    ],
    ids=str,
)
def test_a_patient_who_cannot_be_graded_is_rejected_with_the_reason(
    ward: Ward,
    tmp_path: Path,
    model_dir: Path,
    reason: ReasonCode,
    plane: Any,
    view: str,
    condition: str,
) -> None:
    paths = simulate_small(tmp_path / "series", plane, view=view, condition=condition)

    check_rejected(ward, paths, reason, tmp_path, model_dir)


def check_rejected(
    ward: Ward, paths: tuple[Path, ...], reason: ReasonCode, folder: Path, model_dir: Path
) -> None:
    uid = ward.send(paths)
    history = ward.record.wait_until(uid)

    assert history.series.state is SeriesState.REJECTED, history.series.error
    assert history.series.reason_code == reason
    assert history.series.reason_text
    assert ward.objects(study_of(paths)) == {}
    code, (by_command_line,) = screen_by_command_line(paths, folder / "out", model_dir)
    assert code == 3
    assert by_command_line["reason"]["code"] == reason
    run = history.screenings[-1]
    assert run.result is not None
    assert comparable(run.result) == comparable(by_command_line)


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
