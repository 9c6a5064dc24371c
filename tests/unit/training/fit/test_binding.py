"""A run belongs to one data set and one configuration."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.hips_factory import make_hips
from training import presets
from training.cohort.source import Source
from training.fit.binding import bind, read_patients, write_patients
from training.fit.describe import check_parts, run_version
from training.fit.train import STATE

PRESET = presets.load("osteoscreen").within(16)


def test_a_run_continues_with_the_same_data_and_options_only(tmp_path: Path) -> None:
    bind(tmp_path, "aaaa", PRESET, 1)
    bind(tmp_path, "aaaa", PRESET, 1)

    with pytest.raises(ValueError, match="data_sha256 'aaaa', now 'bbbb'"):
        bind(tmp_path, "bbbb", PRESET, 1)
    with pytest.raises(ValueError, match="initial None, now 'cccc'"):
        bind(tmp_path, "aaaa", PRESET, 1, initial="cccc")
    with pytest.raises(ValueError, match="seed 1, now 99"):
        bind(tmp_path, "aaaa", PRESET, 99)
    with pytest.raises(ValueError, match=r"early_stop 9, now 10; epochs 16, now 20.*another"):
        bind(tmp_path, "aaaa", presets.load("osteoscreen").within(20), 1)


def test_a_run_of_unrecorded_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / STATE).touch()

    with pytest.raises(ValueError, match="data are not recorded"):
        bind(tmp_path, "aaaa", PRESET, 1)


def test_patients_of_a_run_are_recorded(tmp_path: Path) -> None:
    assert read_patients(tmp_path) is None
    records = make_hips(4, 1, hips_of_a_patient=2).records
    write_patients(tmp_path, tuple(replace(r, part="train") for r in records))

    assert read_patients(tmp_path) == {"SIM00000": "train", "SIM00001": "train"}


def test_a_data_set_with_an_empty_part_is_refused(tmp_path: Path) -> None:
    hips = make_hips(4, 1)
    parts = {"train": hips, "validation": hips.part("validation"), "test": hips}

    with pytest.raises(ValueError, match=r"the part validation of .* has no hip \(tr"):
        check_parts(tmp_path, parts)  # type: ignore[arg-type]


def test_a_model_of_own_data_is_not_named_like_the_shipped_one() -> None:
    own, simulated = (Source(flag, "hash", 0) for flag in (False, True))

    assert run_version(PRESET, own, "0123456789") == "4.0+data.01234567"
    assert run_version(PRESET, simulated, "0123456789") == "4.0"
