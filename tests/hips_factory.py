"""Labelled hips for tests: pictures whose mean gray decides the grade, so that a network can
learn them in seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training import dataset
from training.dataset import Hips, Record


def make_hips(
    count: int,
    seed: int,
    *,
    hips_of_a_patient: int = 1,
    t_scores: Sequence[float] = (),
) -> Hips:
    """Hips whose gray follows the T-score (12 levels a unit), and demographics that do too."""
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
    return Hips(records, pixels.astype(np.float16))


def write_hips(folder: Path, hips: Hips, outlines: npt.NDArray[Any] | None = None) -> None:
    """A data set in ``folder``, split by patient."""
    shard = folder / "shard.npz"
    dataset.save_shard(shard, hips.records, list(hips.pixels), outlines)
    dataset.assemble([shard], folder)
