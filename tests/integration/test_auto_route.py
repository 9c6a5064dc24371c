"""Covered: the recipes for Orthanc: series that are routed, and series that are not.

Partner: a real Orthanc. Not covered: other PACS.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.demo.embedded import free_port
from tests.support.ct_factory import ct_series, write_files
from tests.support.history import Record
from tests.support.servers import (
    Orthanc,
    orthanc_plugin,
    running_orthanc,
    storescu,
    wait_for,
)
from tests.support.services import StartProcess

pytestmark = [pytest.mark.servers, pytest.mark.slow]

RECIPES = Path(__file__).parents[2] / "deploy/orthanc"


def lua() -> dict[str, object]:
    return {"LuaScripts": [str(RECIPES / "auto-route.lua")]}


def python() -> dict[str, object]:
    plugin = orthanc_plugin("OrthancPython", "orthanc-python")
    return {"Plugins": [str(plugin)], "PythonScript": str(RECIPES / "auto_route.py")}


def store(orthanc: Orthanc, folder: Path, **elements: object) -> tuple[str, str]:
    """Store a CT series of 12 slices in the PACS; return its study and series UIDs."""
    instances = ct_series(12, **elements)
    uid = str(instances[0].SeriesInstanceUID)
    stored = storescu(
        write_files(instances, folder / uid), orthanc.dicom_port, called="ORTHANC"
    )
    assert stored.returncode == 0, stored.stderr
    return str(instances[0].StudyInstanceUID), uid


def stable_studies(orthanc: Orthanc) -> int:
    """Return how often a study has become stable, for each of which the script was called."""
    changes = orthanc.get("/changes?limit=10000")["Changes"]
    return [change["ChangeType"] for change in changes].count("StableStudy")


@pytest.mark.parametrize("recipe", [lua, python])
def test_ct_series_of_the_trunk_are_routed_once_by_study_and_others_are_not(
    recipe: Callable[[], dict[str, object]],
    child_settings: dict[str, object],
    start_storescp: StartProcess,
    tmp_path: Path,
) -> None:
    configuration, port = recipe(), free_port()
    start_storescp({**child_settings, "PORT": port, "ALLOWED_CALLING_AETS": "ORTHANC"})
    with (
        Record(str(child_settings["DATABASE_URL"])) as record,
        running_orthanc(
            tmp_path / "orthanc",
            DicomModalities={
                "osteoscreen": {"AET": "OSTEOSCREEN", "Host": "127.0.0.1", "Port": port}
            },
            StableAge=1,
            **configuration,
        ) as orthanc,
    ):
        study, first = store(orthanc, tmp_path, BodyPartExamined="ABDOMEN")
        _, second = store(orthanc, tmp_path, BodyPartExamined="", StudyInstanceUID=study)
        _, head = store(orthanc, tmp_path, BodyPartExamined="HEAD", StudyInstanceUID=study)
        _, magnetic = store(orthanc, tmp_path, Modality="MR", BodyPartExamined="ABDOMEN")

        for uid in (first, second):
            wait_for(lambda uid=uid: record.find(uid), f"{uid} to be routed", 60)
        wait_for(lambda: stable_studies(orthanc) >= 2, "both studies to be stable", 60)
        before, jobs = stable_studies(orthanc), len(orthanc.get("/jobs"))
        store(orthanc, tmp_path, Modality="SR", StudyInstanceUID=study)
        wait_for(lambda: stable_studies(orthanc) > before, "the study to be stable again", 60)
        # Events are handled in their order: this study comes after the stored report.
        _, last = store(orthanc, tmp_path, BodyPartExamined="ABDOMEN")
        wait_for(lambda: record.find(last), "a later study to be routed", 60)

        assert record.find(head) is None
        assert record.find(magnetic) is None
        assert len(orthanc.get("/jobs")) == jobs + 1, "what was sent is not sent again"
        for uid in (first, second):
            assert record.history(uid).series.calling_ae_title == "ORTHANC"
