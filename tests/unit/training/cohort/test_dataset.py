"""Data sets on disk: reading back what was written, rejection of inconsistent files."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.hips_factory import make_hips, write_hips
from training.cohort import dataset
from training.cohort.assemble import assemble, save_shard
from training.cohort.record_parts import edited_patients, missing_grades, patient_grades
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
        assemble([], tmp_path, Source(simulated=True, split="hash", seed=0))


def test_patient_has_the_grade_of_the_worst_hip() -> None:
    records = make_hips(4, seed=0, hips_of_a_patient=2, t_scores=(0.0, -3.0, -1.5, 0.5)).records

    assert patient_grades(records) == [
        Grade.OSTEOPOROSIS, Grade.OSTEOPOROSIS, Grade.OSTEOPENIA, Grade.OSTEOPENIA,
    ]  # fmt: skip


HASHED = Source(simulated=False, split="hash", seed=0)


def test_an_edited_part_is_kept_when_data_are_added(tmp_path: Path) -> None:
    hips = make_hips(30, seed=1)
    for name, count in (("first", 20), ("all", 30)):
        save_shard(tmp_path / f"{name}.npz", hips.records[:count], list(hips.pixels[:count]))
    assemble([tmp_path / "first.npz"], tmp_path, HASHED)
    before = dataset.load_records(tmp_path)
    assert edited_patients(before, 0) == []
    moved = next(record for record in before if record.part == "train").patient
    table = (tmp_path / dataset.TABLE).read_text().splitlines()
    edited = [
        line.removesuffix("train") + "test" if line.startswith(moved) else line
        for line in table
    ]
    (tmp_path / dataset.TABLE).write_text("\n".join(edited) + "\n")

    assemble([tmp_path / "all.npz"], tmp_path, HASHED)

    after = {record.patient: record.part for record in dataset.load_records(tmp_path)}
    expected = {record.patient: record.part for record in before} | {moved: "test"}
    assert len(after) == 30
    assert after | expected == after
    assert edited_patients(dataset.load_records(tmp_path), 0) == [moved]


def test_another_seed_does_not_move_patients_out_of_the_test_set(tmp_path: Path) -> None:
    hips = make_hips(9, seed=1)
    save_shard(tmp_path / "shard.npz", hips.records, list(hips.pixels))
    assemble([tmp_path / "shard.npz"], tmp_path, HASHED)

    with pytest.raises(ValueError, match=r"was split with --seed 0; --seed 99 would move"):
        assemble([tmp_path / "shard.npz"], tmp_path, replace(HASHED, seed=99))


def test_grades_that_a_part_lacks_are_named() -> None:
    records = [replace(r, part="train") for r in make_hips(3, seed=0).records]

    missing = missing_grades(records)

    assert len(missing) == 6
    assert "the part test has no hip with osteoporosis" in missing
