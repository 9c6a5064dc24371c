"""Storage SCP and worker with a real PACS, and series that must be rejected."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from pydicom import Dataset, dcmread

from deploy.demo.embedded import Postgres, Valkey, free_port
from tests.support.databases import create_service_roles, fresh_database, service_url
from tests.support.history import Record
from tests.support.series import copy_series, simulate_small, uid_of
from tests.support.servers import Orthanc, running_orthanc, storescu
from tests.support.services import run_celery, run_storescp
from worker.pipeline.reasons import ReasonCode


@dataclass(frozen=True)
class WorkerFixture:
    """Storage SCP, worker and PACS, shared by the tests of a module."""

    record: Record
    orthanc: Orthanc
    settings: dict[str, object]
    logs: Callable[[], str]

    @property
    def port(self) -> int:
        """Port of the Storage SCP."""
        return int(str(self.settings["PORT"]))

    def send(self, paths: tuple[Path, ...], *, calling: str = "MODALITY") -> str:
        """Send a series by C-STORE; return its Series Instance UID."""
        sent = storescu(paths, self.port, calling=calling)
        assert sent.returncode == 0, sent.stderr
        return uid_of(paths)

    def objects(self, study: str) -> dict[tuple[str, int], Dataset]:
        """Return the objects of a study at the PACS by Modality and Instance Number."""
        found = self.orthanc.find("Instance", StudyInstanceUID=study)
        files = [dcmread(io.BytesIO(self.orthanc.file(one["ID"]))) for one in found]
        found_once = {(str(ds.Modality), int(ds.InstanceNumber)): ds for ds in files}
        assert len(found_once) == len(files), "two objects of one kind"
        return found_once

    def reports(self, study: str) -> list[Dataset]:
        """Return the SRs of a study at the PACS."""
        return self._of_modality(study, "SR")

    def notes(self, study: str) -> list[Dataset]:
        """Return the rejection notes of a study at the PACS."""
        return self._of_modality(study, "KO")

    def _of_modality(self, study: str, modality: str) -> list[Dataset]:
        found = self.orthanc.find("Instance", StudyInstanceUID=study, Modality=modality)
        return [dcmread(io.BytesIO(self.orthanc.file(one["ID"]))) for one in found]


StartServices = Callable[..., WorkerFixture]


@pytest.fixture(scope="module")
def start_services(
    postgres: Postgres,
    migrated_template: str,
    redis_server: Valkey,
    model_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[StartServices]:
    """Function that starts Storage SCP and worker with a database and an Orthanc of their own.

    They use the untrained model; ``destinations(orthanc)`` and ``values`` : settings.
    """
    folder = tmp_path_factory.mktemp("services")
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    with ExitStack() as stack:

        def start(
            destinations: Callable[[Orthanc], list[object]], **values: object
        ) -> WorkerFixture:
            orthanc = stack.enter_context(running_orthanc(folder / "orthanc"))
            database_url = stack.enter_context(fresh_database(postgres, migrated_template))
            create_service_roles(database_url)
            settings: dict[str, object] = {
                "BROKER_URL": redis_server.url,
                "DATABASE_URL": database_url,
                "DESTINATIONS": destinations(orthanc),
                "SPOOL_DIR": folder / "spool",
                "MODEL_DIR": model_dir,
                "HOST": "127.0.0.1",
                "PORT": free_port(),
                "QUIET_SECONDS": 1,
                "MIN_FREE_MB": 1,
                **values,
            }
            urls = {name: service_url(database_url, name) for name in ("storescp", "worker")}
            scp = run_storescp(stack, settings | {"DATABASE_URL": urls["storescp"]}, folder)
            worker = run_celery(stack, settings | {"DATABASE_URL": urls["worker"]}, folder)
            record = stack.enter_context(Record(database_url))
            return WorkerFixture(record, orthanc, settings, lambda: scp.log + worker.log)

        yield start


@pytest.fixture(scope="module")
def worker_fixture(start_services: StartServices) -> WorkerFixture:
    """The processes, started with two destinations at one Orthanc."""
    return start_services(
        lambda orthanc: [orthanc.dimse_destination(), orthanc.dicomweb_destination()]
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
    """One series for each reason for rejection that its files can cause."""
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
