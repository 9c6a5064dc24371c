"""Covered: ``screen`` and ``rank`` of a study of several series, as processes.

The study: the best series, the same with a sharp kernel, a MIP and a localizer. And a study in
which no series shows both hips. The model is untrained, so its grades are not tested.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from tests.support.series import copy_series
from tests.support.worker_cli import run_worker

pytestmark = pytest.mark.servers

STUDY = "1.2.826.0.1.3680043.8.498.77"
BEST, SHARP, MIP, SCOUT = (f"{STUDY}.{number}" for number in (4, 5, 6, 1))
RIGHT, LEFT = f"{STUDY}.7", f"{STUDY}.8"


def of_study(number: int, **elements: Any) -> Callable[[int, Dataset], None]:
    """Return a change that makes a series one of the study."""

    def change(index: int, ds: Dataset) -> None:
        ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, f"{STUDY}.{number}"
        ds.SeriesNumber = number
        ds.SOPInstanceUID = f"{STUDY}.{number}.{index + 1}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        for keyword, value in elements.items():
            setattr(ds, keyword, value)

    return change


def half(number: int, side: str) -> Callable[[int, Dataset], None]:
    """Return a change that keeps the columns of one side of a coronal series."""
    join = of_study(number)

    def change(index: int, ds: Dataset) -> None:
        join(index, ds)
        columns, spacing = ds.Columns, float(ds.PixelSpacing[1])
        kept = slice(0, columns // 2) if side == "R" else slice(columns // 2, columns)
        pixels = np.ascontiguousarray(ds.pixel_array[:, kept])
        x, y, z = (float(value) for value in ds.ImagePositionPatient)
        direction = float(ds.ImageOrientationPatient[0])
        ds.ImagePositionPatient = [x + direction * spacing * kept.start, y, z]
        ds.Columns = pixels.shape[1]
        ds.PixelData = pixels.tobytes()

    return change


@pytest.fixture
def study(coronal_series: tuple[Path, ...], tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    copy_series(coronal_series, folder / "c", of_study(4))
    copy_series(coronal_series, folder / "b", of_study(5, ConvolutionKernel="B70f"))
    mip = of_study(6, ImageType=["DERIVED", "SECONDARY", "MIP"])
    copy_series(coronal_series, folder / "a", mip)
    scout = of_study(1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    copy_series(coronal_series[:1], folder / "d", scout)
    return folder


def screen(
    folder: Path, out: Path, model_dir: Path, *options: str
) -> tuple[list[Any], list[Any] | None]:
    """Return the entries of ``result.json`` and ``study.json``."""
    ended = run_worker(
        "screen", folder, "--out", out, "--model", model_dir, *options, cwd=out.parent
    )
    assert ended.returncode == 0, ended.stderr
    study = out / "study.json"
    entries = json.loads((out / "result.json").read_text())
    return entries, json.loads(study.read_text()) if study.exists() else None


def test_a_study_gives_one_report_which_is_that_of_its_best_series_alone(
    study: Path, model_dir: Path, tmp_path: Path
) -> None:
    entries, studies = screen(study, tmp_path / "out", model_dir)
    alone, none = screen(study / "c", tmp_path / "alone", model_dir, "--per", "series")

    assert none is None
    assert studies is not None
    (found,) = studies
    assert (found["study_uid"], found["state"]) == (STUDY, "reported")
    states = {one["series_uid"]: (one["rank"], one["state"]) for one in found["series"]}
    assert states == {
        BEST: (1, "screened"), SHARP: (2, "not_selected"), MIP: (None, "rejected"),
        SCOUT: (None, "rejected"),
    }  # fmt: skip
    assert {entry["series_uid"]: entry["state"] for entry in entries} == {
        uid: state for uid, (_, state) in states.items()
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{BEST}.sr.dcm", f"{BEST}.sc.dcm", f"{BEST}.overlay.sc.dcm", f"{BEST}.png",
        "result.json", "study.json",
    }  # fmt: skip
    for suffix in ("sr", "sc", "overlay.sc"):
        both = [tmp_path / name / f"{BEST}.{suffix}.dcm" for name in ("out", "alone")]
        assert len({str(dcmread(path).SOPInstanceUID) for path in both}) == 1
    (best,) = (entry for entry in entries if entry["series_uid"] == BEST)
    for entry in (best, *alone):
        del entry["timings_ms"], entry["outputs"]
    assert [best] == alone


def test_per_series_screens_every_series(study: Path, model_dir: Path, tmp_path: Path) -> None:
    entries, studies = screen(study, tmp_path / "out", model_dir, "--per", "series")

    assert studies is None
    states = {entry["series_uid"]: entry["state"] for entry in entries}
    assert states == {
        BEST: "screened", SHARP: "screened", MIP: "rejected", SCOUT: "rejected",
    }  # fmt: skip


def test_two_series_of_one_hip_each_give_one_report_that_refers_to_both(
    coronal_series: tuple[Path, ...], model_dir: Path, tmp_path: Path
) -> None:
    copy_series(coronal_series, tmp_path / "in" / "r", half(7, "R"))
    copy_series(coronal_series, tmp_path / "in" / "l", half(8, "L"))

    _, studies = screen(tmp_path / "in", tmp_path / "out", model_dir)

    assert studies is not None
    (found,) = studies
    hips = {hip["side"]: (hip["state"], hip["series_uid"]) for hip in found["hips"]}
    assert hips == {"R": ("graded", RIGHT), "L": ("graded", LEFT)}
    assert found["warnings"][0].startswith("Study: no series grades both hips: right hip by")
    report = dcmread(found["outputs"]["sr"])
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    referenced = {str(item.SeriesInstanceUID) for item in evidence.ReferencedSeriesSequence}
    assert {RIGHT, LEFT} < referenced


def test_rank_tells_what_screen_would_use(study: Path, tmp_path: Path) -> None:
    rules = {"SERIES_RULES": '[{"exclude": {"kernel": "^B70"}}]'}

    ended = run_worker("rank", study, "--json", cwd=tmp_path, settings=rules)

    assert ended.returncode == 0, ended.stderr
    (found,) = json.loads(ended.stdout)
    reasons = {one["series_uid"]: (one["reason"] or {}).get("code") for one in found["series"]}
    assert reasons == {BEST: None, SHARP: "EXCLUDED", MIP: "NOT_CT", SCOUT: "LOCALIZER"}


def test_a_wrong_rule_is_one_line_that_names_the_setting(study: Path, tmp_path: Path) -> None:
    rules = {"SERIES_RULES": '[{"exclude": {"kernel": "(a+)+b"}}]'}

    ended = run_worker("rank", study, cwd=tmp_path, settings=rules)

    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("OSTEOSCREEN_SERIES_RULES: ")
