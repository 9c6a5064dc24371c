"""``python -m deploy.demo``: the whole path, output files, exit codes, clean-up.

Covered with a folder of CT and an untrained model; that the simulated series get their own
grades is for ``make demo`` with the shipped model.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from pydicom import Dataset, dcmread

from tests.support.series import copy_series, study_of, uid_of
from tests.support.servers import child_environment, running_orthanc, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.slow]


def demo(*arguments: object, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.demo", *map(str, arguments)],
        env=child_environment() | {"TMPDIR": str(folder)},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """Own folder for all files, so that files that are left can be detected."""
    folder = Path(tempfile.mkdtemp(prefix="demo-test-"))
    folder.chmod(0o755)  # PostgreSQL, started by root, runs as another user
    yield folder
    shutil.rmtree(folder)


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of processes with a working directory in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inside = Path(os.readlink(process / "cwd")).is_relative_to(folder)
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it ended meanwhile
        if inside and "deploy.demo" not in command:
            found.append(command)
    return found


def test_ct_of_a_folder_arrives_as_sr_sc_and_picture_and_at_an_own_pacs(
    coronal_series: tuple[Path, ...], model_dir: Path, folder: Path, tmp_path: Path
) -> None:
    ct = folder / "ct"
    uid = uid_of(copy_series(coronal_series, ct / "a"))
    study = study_of(sorted((ct / "a").iterdir()))

    def into_the_study(_: int, ds: Dataset) -> None:
        ds.StudyInstanceUID = study

    few = uid_of(copy_series(coronal_series[:4], ct / "b", into_the_study))
    (ct / "notes.txt").write_text("not DICOM")

    # Default of Debian: unknown peers may store, but not query.
    with running_orthanc(tmp_path / "orthanc", DicomAlwaysAllowFind=False) as orthanc:
        pacs = f"{orthanc.ae_title}@127.0.0.1:{orthanc.dicom_port}"
        arguments = ("--ct", ct, "--model", model_dir, "--pacs", pacs)
        with demo(*arguments, folder=folder) as running:
            output, _ = running.communicate(timeout=240)
        held = requests.get(f"{orthanc.url}/series?expand", timeout=60).json()

    assert running.returncode == 0, output
    assert sorted(series["MainDicomTags"]["Modality"] for series in held) == ["OT", "SR"]
    out = folder / "demo-output"
    summary = {one["series_uid"]: one for one in json.loads((out / "summary.json").read_text())}
    assert set(summary) == {uid, few}
    assert summary[few]["reason"]["code"] == "TOO_FEW_SLICES"
    assert summary[few]["state"] == "rejected"
    assert {one["study_uid"] for one in summary.values()} == {study}
    assert (summary[uid]["rank"], summary[few]["rank"]) == (1, None)
    assert (summary[few]["sr"], summary[few]["sc"]) == (None, None)
    assert "interleaved over 2 associations" in " ".join(output.split())
    assert "what became of its series" in " ".join(output.split())
    graded = summary[uid]
    assert (graded["state"], graded["delivered"]) == ("screened", True)
    assert graded["grade"] in {"normal", "osteopenia", "osteoporosis"}
    assert Path(graded["sr"]) == out / f"{uid}.sr.dcm"
    assert dcmread(graded["sr"]).Modality == "SR"
    assert dcmread(graded["sc"]).Modality == "OT"
    assert Path(graded["overlay"]) == out / f"{uid}.overlay.sc.dcm"
    assert dcmread(graded["overlay"]).InstanceNumber == 2
    assert Path(graded["png"]).read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in (out / "logs").iterdir()} >= {"storescp.log", "worker.log"}
    assert processes_of(folder) == []
    assert sorted(path.name for path in folder.iterdir()) == ["ct", "demo-output"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_everything(
    coronal_series: tuple[Path, ...], model_dir: Path, folder: Path, number: signal.Signals
) -> None:
    with demo("--ct", coronal_series[0].parent, "--model", model_dir, folder=folder) as running:
        wait_for(lambda: len(processes_of(folder)) >= 4, "servers to start", seconds=90)

        running.send_signal(number)
        output, _ = running.communicate(timeout=90)

    assert running.returncode == 130, output
    assert "Traceback" not in output
    assert processes_of(folder) == []
    assert [path.name for path in folder.iterdir()] == ["demo-output"]


def test_an_invalid_pacs_shows_the_expected_format(folder: Path) -> None:
    with demo("--pacs", "localhost:4242", folder=folder) as running:
        output, _ = running.communicate(timeout=90)

    assert running.returncode == 2
    assert "write the PACS as AET@HOST:PORT, such as ORTHANC@localhost:4242" in output


def test_a_folder_without_ct_is_one_line(folder: Path) -> None:
    for empty in (folder / "nowhere", folder):
        with demo("--ct", empty, folder=folder) as running:
            output, _ = running.communicate(timeout=90)

        assert running.returncode == 2
        assert output == f"{empty}: no CT series in it\n"
