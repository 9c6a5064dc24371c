"""Data sets on disk: reading back what was written, rejection of inconsistent files."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.hips_factory import make_hips, write_hips
from training.cohort import dataset
from training.cohort.source import Source
from training.cohort.split import LeakError
from worker.pipeline.results import Grade


def test_written_data_set_reads_back(tmp_path: Path) -> None:
    hips = make_hips(30, seed=1)
    write_hips(tmp_path, hips)

    loaded = dataset.load(tmp_path)

    np.testing.assert_array_equal(loaded.pixels, hips.pixels)
    assert tuple(replace(record, part=None) for record in loaded.records) == hips.records
    assert {record.part for record in loaded.records} == {"train", "validation", "test"}


def test_outlines_are_kept_bit_by_bit(tmp_path: Path) -> None:
    hips = make_hips(9, seed=1)
    outlines = np.random.default_rng(0).random((9, 250, 250)) > 0.5
    write_hips(tmp_path, hips, outlines)

    loaded = dataset.load(tmp_path)

    np.testing.assert_array_equal(loaded.outline(4), outlines[4])


def test_a_patient_in_two_parts_is_refused(tmp_path: Path) -> None:
    write_hips(tmp_path, make_hips(30, seed=1, hips_of_a_patient=2))
    path = tmp_path / dataset.TABLE
    lines = list(csv.DictReader(path.read_text().splitlines()))
    lines[0]["part"] = "test" if lines[0]["part"] == "train" else "train"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, lines[0])
        table.writeheader()
        table.writerows(lines)

    with pytest.raises(LeakError, match="is in"):
        dataset.load(tmp_path)


def test_table_of_other_pixels_is_refused(tmp_path: Path) -> None:
    write_hips(tmp_path, make_hips(9, seed=1))
    np.save(tmp_path / dataset.PIXELS, np.zeros((3, 250, 250), np.float16))

    with pytest.raises(ValueError, match=r"9 lines in hips.csv but 3 crops"):
        dataset.load(tmp_path)


def test_data_set_without_hips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no hip is left"):
        dataset.assemble([], tmp_path, Source(simulated=True, split="hash", seed=0))


def test_patient_has_the_grade_of_the_worst_hip() -> None:
    records = make_hips(4, seed=0, hips_of_a_patient=2, t_scores=(0.0, -3.0, -1.5, 0.5)).records

    assert dataset.patient_grades(records) == [
        Grade.OSTEOPOROSIS, Grade.OSTEOPOROSIS, Grade.OSTEOPENIA, Grade.OSTEOPENIA,
    ]  # fmt: skip
