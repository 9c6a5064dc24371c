"""Simulated series that must be rejected, for tests and the demo."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pydicom

from training.simulate.acquisition import Acquisition, sample_acquisition
from training.simulate.series import derive_uid, iter_series, save, write_series
from training.simulate.subject import Subject, sample_subject

Invalid = Literal[
    "sagittal", "localizer", "few-slices", "gap", "child", "metal", "mixed", "abdomen"
]
KINDS: tuple[Invalid, ...] = get_args(Invalid)


def write_invalid(kind: Invalid, out_dir: Path, seed: int = 0, **fixed: Any) -> list[Path]:
    """Write one series that breaks one rule; ``fixed`` : fields of ``Acquisition``.

    ``metal`` has two hip prostheses, ``abdomen`` ends above the hips, ``gap`` lacks a fifth of
    its slices, ``mixed`` changes patient and study in the middle.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    return WRITERS[kind](rng, out_dir, fixed)


Writer = Callable[[np.random.Generator, Path, dict[str, Any]], list[Path]]


def _plain(
    rng: np.random.Generator, fixed: dict[str, Any], **subject: Any
) -> tuple[Subject, Acquisition]:
    patient = sample_subject(rng, **subject)
    return patient, sample_acquisition(rng, patient, **{"view": "pelvis", **fixed})


def _sagittal(rng: np.random.Generator, out_dir: Path, fixed: dict[str, Any]) -> list[Path]:
    return write_series(*_plain(rng, {"plane": "sagittal", **fixed}), out_dir)


def _localizer(rng: np.random.Generator, out_dir: Path, fixed: dict[str, Any]) -> list[Path]:
    """Write a frontal scout: one image of a thick slab."""
    scout = {"slices": 1, "thickness_mm": 40.0, "increment_mm": 40.0, "kernel": "soft"}
    header = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SeriesNumber": 1}
    return write_series(*_plain(rng, {**fixed, **scout}), out_dir, header=header)


def _few(rng: np.random.Generator, out_dir: Path, fixed: dict[str, Any]) -> list[Path]:
    return write_series(*_plain(rng, {**fixed, "slices": 6}), out_dir)


def _gap(rng: np.random.Generator, out_dir: Path, fixed: dict[str, Any]) -> list[Path]:
    subject, acquisition = _plain(rng, fixed)
    count = acquisition.slices
    kept = [i for i in range(count) if not 0.4 * count < i < 0.6 * count]
    return list(iter_series(subject, acquisition, out_dir, slices=kept))


def _child(rng: np.random.Generator, out_dir: Path, fixed: dict[str, Any]) -> list[Path]:
    subject, acquisition = _plain(
        rng, fixed, grade="normal", age_years=11, height_m=1.42, weight_kg=36.0
    )
    return write_series(subject, acquisition, out_dir)


def _metal(rng: np.random.Generator, out_dir: Path, fixed: dict[str, Any]) -> list[Path]:
    subject, acquisition = _plain(rng, fixed, condition="metal-both")
    right, left = (replace(hip, implant="prosthesis") for hip in subject.hips)
    return write_series(replace(subject, hips=(right, left)), acquisition, out_dir)


def _mixed(rng: np.random.Generator, out_dir: Path, fixed: dict[str, Any]) -> list[Path]:
    paths = write_series(*_plain(rng, fixed), out_dir)
    for path in paths[len(paths) // 2 :]:
        ds = pydicom.dcmread(path)
        ds.PatientID, ds.PatientName = "SIM-OTHER", "SIM^0002"
        ds.StudyInstanceUID = derive_uid("other study", ds.StudyInstanceUID)
        save(ds, path)
    return paths


def _abdomen(rng: np.random.Generator, out_dir: Path, fixed: dict[str, Any]) -> list[Path]:
    return write_series(*_plain(rng, {**fixed, "view": "abdomen"}), out_dir)


WRITERS: dict[Invalid, Writer] = {
    "sagittal": _sagittal,
    "localizer": _localizer,
    "few-slices": _few,
    "gap": _gap,
    "child": _child,
    "metal": _metal,
    "mixed": _mixed,
    "abdomen": _abdomen,
}
