"""Labeled hips for tests: the mean gray of a crop decides its grade.

A network learns such hips in seconds.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.cohort.assemble import assemble, save_shard
from training.cohort.dataset import Hips, Record
from training.cohort.source import Source
from training.presets import Preset
from worker.pipeline.femur_shape import STEP_MM


def make_hips(
    count: int,
    seed: int,
    *,
    hips_of_a_patient: int = 1,
    t_scores: Sequence[float] = (),
) -> Hips:
    """Return hips whose gray (12 levels per unit) and demographics follow the T-score."""
    rng = np.random.default_rng(seed)
    patients = -(-count // hips_of_a_patient)
    drawn = np.repeat(
        rng.permutation(np.resize([0.0, -1.8, -3.5], patients)), hips_of_a_patient
    )
    t = np.array(t_scores or drawn[:count].tolist())
    pixels = rng.normal(90 + 12 * t[:, None, None], 4, (count, 250, 250))
    records = tuple(
        Record(
            patient=f"SIM{index // hips_of_a_patient:05d}",
            scan=f"SIM{index:05d}-1",
            side="R",
            t_score=float(score),
            sex="FM"[index % 2],
            age=float(round(50 - 8 * score + rng.normal(0, 8))),
            height_m=1.6,
            weight_kg=60.0,
            kvp=120.0,
            kernel="STANDARD",
            thickness_mm=3.0,
            increment_mm=3.0,
            enhanced=True,
        )
        for index, score in enumerate(t.tolist())
    )
    on_femur = np.full((count, 250, 250), -20, np.int8)
    return Hips(records, pixels.astype(np.float16), on_femur)


def write_hips(folder: Path, hips: Hips, outlines: npt.NDArray[Any] | None = None) -> None:
    """Write a data set to ``folder``, split by patient."""
    shard = folder / "shard.npz"
    femurs = None if hips.femurs is None else list(hips.femurs * np.float32(STEP_MM))
    save_shard(shard, hips.records, list(hips.pixels), femurs, outlines)
    assemble([shard], folder, Source(simulated=True, split="shares", seed=0))


def permute_labels(hips: Hips) -> Hips:
    """Return the hips with each other's T-scores."""
    shuffled = np.random.default_rng(3).permutation(hips.t_scores).tolist()
    records = (replace(r, t_score=t) for r, t in zip(hips.records, shuffled, strict=True))
    return replace(hips, records=tuple(records))


def small_preset(preset: Preset, epochs: int, batch: int = 16) -> Preset:
    """Return a preset with a few epochs, small batches and no early stopping."""
    within = preset.within(epochs)
    return replace(within, fit=replace(within.fit, batch=batch, early_stop=epochs))
