"""Agreement of a candidate model with the live model, on the hips that both classified."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from worker.pipeline.results import Grade

GRADES = tuple(Grade)


@dataclass(frozen=True, slots=True)
class Pair:
    """Grade (None: rejected) and P(osteoporosis) of one hip by each model."""

    live: Grade | None
    candidate: Grade | None
    live_osteoporosis: float | None
    candidate_osteoporosis: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement figures.

    ``counts[i][j]`` : hips graded i by the live model and j by the candidate. ``share`` :
    proportion of equal grades, with its 95 % interval (Wilson, JASA 1927). ``kappa`` : with
    quadratic weights (Cohen, Psychol Bull 1968), None if both models gave one single grade.
    """

    hips: int
    counts: tuple[tuple[int, ...], ...]
    share: float | None
    share_95: tuple[float, float] | None
    kappa: float | None
    osteoporosis_difference: float | None
    """Mean absolute difference of P(osteoporosis)."""
    refused_by_candidate_only: int
    refused_by_live_only: int

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "hips": self.hips,
            "grades": [grade.value for grade in GRADES],
            "counts": [list(row) for row in self.counts],
            "agreement": self.share,
            "agreement_95": None if self.share_95 is None else list(self.share_95),
            "weighted_kappa": self.kappa,
            "osteoporosis_probability_difference": self.osteoporosis_difference,
            "refused_by_candidate_only": self.refused_by_candidate_only,
            "refused_by_live_only": self.refused_by_live_only,
        }


def agreement(pairs: Iterable[Pair]) -> Agreement:
    """Count all hips and compare those that both models graded."""
    pairs = tuple(pairs)
    counts = np.zeros((len(GRADES), len(GRADES)), int)
    differences = []
    for pair in pairs:
        if pair.live is None or pair.candidate is None:
            continue
        counts[GRADES.index(pair.live), GRADES.index(pair.candidate)] += 1
        if pair.live_osteoporosis is not None:
            differences.append(abs(pair.live_osteoporosis - pair.candidate_osteoporosis))
    both = int(counts.sum())
    return Agreement(
        hips=len(pairs),
        counts=tuple(tuple(row) for row in counts.tolist()),
        share=float(np.trace(counts)) / both if both else None,
        share_95=_wilson(int(np.trace(counts)), both),
        kappa=_weighted_kappa(counts),
        osteoporosis_difference=float(np.mean(differences)) if differences else None,
        refused_by_candidate_only=sum(
            pair.live is not None and pair.candidate is None for pair in pairs
        ),
        refused_by_live_only=sum(
            pair.live is None and pair.candidate is not None for pair in pairs
        ),
    )


def _wilson(successes: int, of: int) -> tuple[float, float] | None:
    if not of:
        return None
    from scipy.stats import binomtest  # a sixth of the start of a worker

    interval = binomtest(successes, of).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def _weighted_kappa(counts: np.ndarray[Any, Any]) -> float | None:
    total = counts.sum()
    if not total:
        return None
    steps = np.subtract.outer(np.arange(len(GRADES)), np.arange(len(GRADES))) ** 2
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / total
    by_chance = float((steps * expected).sum())
    return None if by_chance == 0 else 1 - float((steps * counts).sum()) / by_chance
