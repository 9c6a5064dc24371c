"""Covered: the command ``screen``, and ``status``, ``show`` and ``retry`` on a real database.

Files, JSON keys, exit codes and messages are tested; the model is untrained, so its grades are
not.
"""

import json
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from db.leases import finish_failed
from db.session import make_engine, make_sessions
from db.states import SeriesState
from tests.support import record
from tests.support.series import copy_series, uid_of
from tests.support.servers import child_environment
from tests.support.worker_cli import run_worker
from worker.context import utc_now

pytestmark = pytest.mark.servers

ENTRY_KEYS = {
    "series_uid", "state", "reason", "orientation", "slice", "hips", "grade", "measurements",
    "spine", "model", "warnings", "checks", "timings_ms", "outputs",
}  # fmt: skip
HIP_KEYS = {
    "side", "state", "reason", "center_mm", "neck_mm", "slice", "crop", "neck_hu",
    "neck_method", "probabilities", "grade", "checks",
}  # fmt: skip


def too_young(_: int, ds: Dataset) -> None:
    ds.PatientAge = "009Y"


def test_a_folder_with_good_bad_and_foreign_files(
    coronal_series: tuple[Path, ...], model_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    copy_series(coronal_series, folder / "deep" / "good")
    good = uid_of(sorted((folder / "deep" / "good").iterdir()))
    child = uid_of(copy_series(coronal_series, folder / "child", too_young))
    (folder / "readme.txt").write_text("not DICOM")

    ended = run_worker(
        "screen", folder, "--out", tmp_path / "out", "--model", model_dir, cwd=tmp_path
    )

    assert ended.returncode == 0, ended.stderr
    entries = {
        e["series_uid"]: e for e in json.loads((tmp_path / "out/result.json").read_text())
    }
    assert set(entries) == {good, child}
    assert entries[child]["state"] == "rejected"
    assert entries[child]["reason"]["code"] == "TOO_YOUNG"
    checks = {check["rule"]: check for check in entries[child]["checks"]}
    assert checks["slices"] == {
        "rule": "slices",
        "requires": "at least 10 slices",
        "state": "passed",
        "code": None,
        "found": f"{len(coronal_series)} slices.",
    }
    assert (checks["age"]["state"], checks["age"]["code"]) == ("failed", "TOO_YOUNG")
    assert checks["anatomy"]["state"] == "not_reached"
    entry = entries[good]
    passed = [*entry["checks"], *(check for hip in entry["hips"] for check in hip["checks"])]
    assert {check["state"] for check in passed} == {"passed"}
    assert not {"", None} & {check["found"] for check in passed}
    assert set(entry) == ENTRY_KEYS
    assert entry["state"] == "screened"
    assert [hip["state"] for hip in entry["hips"]] == ["graded"] * 2
    for hip in entry["hips"]:
        assert set(hip) == HIP_KEYS
        assert sum(hip["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    check_outputs(entry)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        f"{good}.sr.dcm", f"{good}.sc.dcm", f"{good}.overlay.sc.dcm", f"{good}.png",
        "result.json",
    }  # fmt: skip


def check_outputs(entry: dict[str, Any]) -> None:
    """Check that SR, SC and PNG of an entry of ``result.json`` belong together."""
    sr, sc = dcmread(entry["outputs"]["sr"]), dcmread(entry["outputs"]["sc"])
    assert sr.Modality == "SR"
    overlay = dcmread(entry["outputs"]["overlay"])
    assert sr.StudyInstanceUID == sc.StudyInstanceUID == overlay.StudyInstanceUID
    assert sc.SeriesInstanceUID == overlay.SeriesInstanceUID
    assert (sc.InstanceNumber, overlay.InstanceNumber) == (1, 2)
    with Image.open(entry["outputs"]["png"]) as picture:
        assert (picture.height, picture.width) == (sc.Rows, sc.Columns)


def test_two_runs_give_the_same_objects_by_uid(
    coronal_series: tuple[Path, ...], model_dir: Path, tmp_path: Path
) -> None:
    folder = coronal_series[0].parent
    uids = []
    for number in range(2):
        out = tmp_path / str(number)
        ended = run_worker("screen", folder, "--out", out, "--model", model_dir, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        uids.append({str(dcmread(path).SOPInstanceUID) for path in out.glob("*.dcm")})

    assert uids[0] == uids[1]
    assert len(uids[0]) == 3


def test_a_folder_where_all_is_rejected_exits_3(
    coronal_series: tuple[Path, ...], model_dir: Path, tmp_path: Path
) -> None:
    copy_series(coronal_series[:5], tmp_path / "in")

    ended = run_worker(
        "screen", tmp_path / "in", "--out", tmp_path / "out", "--model", model_dir, cwd=tmp_path
    )

    assert ended.returncode == 3
    (entry,) = json.loads((tmp_path / "out" / "result.json").read_text())
    assert entry["reason"]["code"] == "TOO_FEW_SLICES"
    assert entry["outputs"] == {"sr": None, "sc": None, "png": None}


@pytest.mark.parametrize("what", ["missing", "empty", "no model", "altered model"])
def test_bad_input_exits_2_with_one_line(
    what: str, coronal_series: tuple[Path, ...], model_dir: Path, tmp_path: Path
) -> None:
    folder, model = coronal_series[0].parent, model_dir
    if what == "missing":
        folder = tmp_path / "missing"
    elif what == "empty":
        folder = tmp_path / "empty"
        folder.mkdir()
        (folder / "text.txt").write_text("no DICOM")
    elif what == "no model":
        model = tmp_path / "nowhere"
    else:
        model = tmp_path / "altered"
        shutil.copytree(model_dir, model)
        with (model / "weights.npz").open("ab") as file:
            file.write(b"x")

    ended = run_worker(
        "screen", folder, "--out", tmp_path / "out", "--model", model, cwd=tmp_path
    )

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    lines = [line for line in ended.stderr.splitlines() if str(tmp_path) in line]
    assert len(lines) == 1, ended.stderr


def test_status_and_show_print_the_record_without_the_patient(
    child_settings: dict[str, object], tmp_path: Path
) -> None:
    sessions = make_sessions(
        make_engine(str(child_settings["DATABASE_URL"]), application_name="t")
    )
    series_id = record.register(sessions, now=utc_now()).series_id
    held = record.lease(sessions, series_id, now=utc_now())
    record.save(sessions, held, "pacs", now=utc_now())

    status = run_worker("status", cwd=tmp_path, settings=child_settings)
    status_json = run_worker("status", "--json", cwd=tmp_path, settings=child_settings)
    show = run_worker("show", record.SERIES, cwd=tmp_path, settings=child_settings)
    show_json = run_worker(
        "show", record.SERIES, "--json", cwd=tmp_path, settings=child_settings
    )

    assert {run.returncode for run in (status, status_json, show, show_json)} == {0}
    assert record.SERIES in status.stdout
    facts = json.loads(status_json.stdout)
    assert facts["series"]["screened"] == 1
    assert facts["deliveries"] == {"pacs": {"due": 2}}
    assert "METAL" in show.stdout
    assert "not on record, this result is of an earlier version" in show.stdout
    shown = json.loads(show_json.stdout)
    assert shown["state"] == "screened"
    assert shown["result"] == {"grade": "osteopenia"}
    assert [one["role"] for one in shown["deliveries"]] == ["sr", "sc"]
    for run in (status, status_json, show, show_json):
        assert "P1" not in run.stdout


def test_retry_queues_a_failed_series_again(
    child_settings: dict[str, object], tmp_path: Path
) -> None:
    sessions = make_sessions(
        make_engine(str(child_settings["DATABASE_URL"]), application_name="t")
    )
    series_id = record.register(sessions, now=utc_now()).series_id
    held = record.lease(sessions, series_id, now=utc_now())
    with sessions.begin() as session:
        finish_failed(
            session, held, error="E", now=utc_now(), max_attempts=0, retry_after=timedelta(0)
        )

    first = run_worker("retry", record.SERIES, cwd=tmp_path, settings=child_settings)
    second = run_worker("retry", record.SERIES, cwd=tmp_path, settings=child_settings)

    assert (first.returncode, second.returncode) == (0, 0)
    assert "queued" in first.stdout
    assert "nothing to do" in second.stdout
    assert record.read_series(sessions, series_id).state is SeriesState.QUEUED


@pytest.mark.parametrize("command", [["show", "1.2.9"], ["retry", "1.2.9"]])
def test_an_unknown_uid_is_one_line(
    command: list[str], child_settings: dict[str, object], tmp_path: Path
) -> None:
    ended = run_worker(*command, cwd=tmp_path, settings=child_settings)

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "1.2.9" in ended.stderr


def test_a_database_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    url = "postgresql+psycopg2://me:hidden@127.0.0.1:1/none"

    ended = run_worker("status", cwd=tmp_path, settings={"DATABASE_URL": url})

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "hidden" not in ended.stderr


def test_status_does_not_import_heavy_libraries(
    child_settings: dict[str, object], tmp_path: Path
) -> None:
    program = (
        "import sys, worker.cli.app as cli; sys.argv = ['worker', 'status']\n"
        "try: cli.main()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "assert not {'tensorflow', 'keras', 'highdicom', 'pynetdicom'} & set(sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=child_environment(child_settings),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == 0, ended.stderr
