"""The auto-routing recipe, by a real Orthanc that sends to the real Storage SCP.

Covered: what is routed and what is not. Not covered: other PACS.
"""

from pathlib import Path

import pytest

from deploy.embedded import free_port
from tests.conftest import StartProcess
from tests.ct_factory import ct_series, write_files
from tests.history import Record
from tests.servers import Orthanc, running_orthanc, storescu, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.slow]

SCRIPT = Path(__file__).parents[2] / "deploy/orthanc/auto-route.lua"


def store(orthanc: Orthanc, folder: Path, **elements: object) -> str:
    """Put a CT series of 12 slices into the PACS; its Series Instance UID."""
    instances = ct_series(12, **elements)
    uid = str(instances[0].SeriesInstanceUID)
    stored = storescu(
        write_files(instances, folder / uid), orthanc.dicom_port, called="ORTHANC"
    )
    assert stored.returncode == 0, stored.stderr
    return uid


def test_ct_series_of_the_trunk_are_routed_and_others_are_not(
    child_settings: dict[str, object], start_storescp: StartProcess, tmp_path: Path
) -> None:
    port = free_port()
    start_storescp({**child_settings, "PORT": port, "ALLOWED_CALLING_AETS": "ORTHANC"})
    with (
        Record(str(child_settings["DATABASE_URL"])) as record,
        running_orthanc(
            tmp_path / "orthanc",
            DicomModalities={
                "osteoscreen": {"AET": "OSTEOSCREEN", "Host": "127.0.0.1", "Port": port}
            },
            LuaScripts=[str(SCRIPT)],
            StableAge=1,
        ) as orthanc,
    ):
        head = store(orthanc, tmp_path, BodyPartExamined="HEAD")
        magnetic = store(orthanc, tmp_path, Modality="MR", BodyPartExamined="ABDOMEN")
        wanted = [store(orthanc, tmp_path, BodyPartExamined=part) for part in ("ABDOMEN", "")]

        for uid in wanted:
            wait_for(lambda uid=uid: record.find(uid), f"{uid} to be routed", 60)
        jobs = orthanc.get("/jobs?expand")

        assert record.find(head) is None
        assert record.find(magnetic) is None
        assert len(jobs) == len(wanted), "one association a series"
        for uid in wanted:
            assert record.history(uid).series.calling_ae_title == "ORTHANC"
