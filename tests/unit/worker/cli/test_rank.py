"""Covered: ``rank`` of a folder of two studies, as a table and as JSON, and its exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from common.dicom.series_rules import read_rules
from tests.support.ct_volume import AXIAL, CORONAL, SAGITTAL, Point, write_ct
from worker.cli.exit_codes import ALL_REJECTED, BAD_INPUT, SCREENED
from worker.cli.rank import rank_folder

STUDY, OTHER = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"


def write(
    folder: Path,
    study: str,
    number: int,
    directions: tuple[Point, Point],
    description: str,
    kernel: str = "B30f",
) -> str:
    """Write 12 slices without content; return the Series Instance UID."""
    uid = f"{study}.{number}"

    def change(_: int, ds: Dataset) -> None:
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SeriesNumber = study, uid, number
        ds.SeriesDescription, ds.ConvolutionKernel, ds.SliceThickness = description, kernel, 3

    write_ct(
        folder / f"{study}-{number}", np.zeros((12, 8, 6), np.int16), directions=directions,
        change=change,
    )  # fmt: skip
    return uid


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, STUDY, 2, AXIAL, "Thorax \x1b[31m[lung]", "B70f")
    write(tmp_path, STUDY, 3, SAGITTAL, "Spine sag")
    write(tmp_path, STUDY, 4, CORONAL, "Abdomen cor")
    write(tmp_path, OTHER, 1, AXIAL, "Abdomen ax")
    return tmp_path


def test_the_table_tells_rank_and_reason_of_every_series(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rank_folder(folder, (), as_json=False) == SCREENED

    lines = capsys.readouterr().out.splitlines()
    (coronal,) = (line for line in lines if "series 4, coronal 3 mm, soft kernel" in line)
    assert coronal.split()[1] == "1"
    (lung,) = (line for line in lines if "series 2" in line)
    assert "Thorax [31m[lung]" in lung  # the value, without the control code
    assert lung.split()[1] == "2"
    (sagittal,) = (line for line in lines if "series 3" in line)
    assert "ORIENTATION: Sagittal slices" in sagittal
    assert sum("study 1.2.826" in line for line in lines) == 2


def test_json_names_what_each_series_was_ordered_by(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = read_rules([{"exclude": {"description": "lung"}}])

    assert rank_folder(folder, rules, as_json=True) == SCREENED

    studies = {study["study_uid"]: study for study in json.loads(capsys.readouterr().out)}
    first, *others = studies[STUDY]["series"]
    assert (first["series_uid"], first["rank"]) == (f"{STUDY}.4", 1)
    assert first["ordered_by"]["kernel"] == "soft kernel"
    assert first["ordered_by"]["plane"] == "coronal, 3 mm"
    assert first["properties"]["description"] == "Abdomen cor"
    assert {one["reason"]["code"] for one in others} == {"EXCLUDED", "ORIENTATION"}
    assert [one["rank"] for one in studies[OTHER]["series"]] == [1]


def test_a_folder_of_rejected_series_exits_3_and_one_without_series_2(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()

    all_excluded = read_rules([{"include": {"station": "CT7"}}])
    assert rank_folder(folder, all_excluded, as_json=False) == ALL_REJECTED
    assert rank_folder(tmp_path / "empty", (), as_json=False) == BAD_INPUT
    assert rank_folder(tmp_path / "missing", (), as_json=False) == BAD_INPUT
    assert len(capsys.readouterr().err.splitlines()) == 2
