"""Measurements of attenuation against DXA: published limits on a site's own patients.

No model takes part. The score of a series is the attenuation of a vertebra, that of a hip the
attenuation of its neck; lower values suggest osteoporosis (T-score −2.5 or less).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn import metrics
from sklearn.metrics import roc_curve

from training.evaluate import measures
from training.evaluate.hip_evaluation import HipEvaluation
from training.evaluate.measures import (
    RESAMPLES,
    extreme_interval,
    format_interval,
    interval,
)
from worker.pipeline.grading import grade_of_t_score
from worker.pipeline.lumbar_results import LEVELS
from worker.pipeline.results import Grade
from worker.pipeline.spine.published_limits import PublishedLimit, limits_of

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.intp]
NECK = "neck"
CHOSEN_HERE = "chosen on these series: expect less on others"


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Values of one site with DXA; index i of the arrays is the same series or hip.

    ``hu`` : (n,) attenuation. ``positive`` : (n,) whether DXA says osteoporosis, of a vertebra
    by the lowest T-score of the series. ``patients`` : (n,). ``valid`` : (n,) whether the
    series meets the conditions of the published limits of the site.
    """

    hu: Floats
    positive: Flags
    patients: npt.NDArray[np.str_]
    valid: Flags

    @property
    def has_both(self) -> bool:
        """Whether there are values with and without osteoporosis."""
        return bool(self.positive.any() and not self.positive.all())

    def take(self, chosen: Flags | Integers) -> "Sample":
        """Return the values of some indices."""
        return Sample(
            self.hu[chosen], self.positive[chosen], self.patients[chosen], self.valid[chosen]
        )


def samples_of(evaluations: Sequence[HipEvaluation]) -> dict[str, Sample]:
    """Return the values of each site that has any: ``L1`` to ``L4`` and ``neck``."""
    by_series: dict[str, HipEvaluation] = {}
    for hip in evaluations:
        worst = by_series.get(hip.series_dir, hip)
        by_series[hip.series_dir] = min(worst, hip, key=lambda one: one.t_score)
    found: dict[str, list[tuple[float, HipEvaluation]]] = {
        level: [
            (one.lumbar_hu[level], one) for one in by_series.values() if level in one.lumbar_hu
        ]
        for level in LEVELS
    }
    found[NECK] = [(hip.neck_hu, hip) for hip in evaluations if hip.neck_hu is not None]
    return {site: _sample(values) for site, values in found.items() if values}


def _sample(values: Iterable[tuple[float, HipEvaluation]]) -> Sample:
    hu, hips = zip(*values, strict=True)
    return Sample(
        np.array(hu, np.float64),
        np.array([grade_of_t_score(one.t_score) is Grade.OSTEOPOROSIS for one in hips]),
        np.array([one.patient for one in hips], np.str_),
        np.array([one.limits_hold is True for one in hips]),
    )


def measure_sites(
    samples: Mapping[str, Sample], rng: np.random.Generator, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Return the figures of each site with 95 % intervals by a bootstrap over patients."""
    return {
        site: _measure_site(sample, _limits_of(site), rng, resamples)
        for site, sample in samples.items()
    }


def _limits_of(site: str) -> tuple[PublishedLimit, ...]:
    return next((limits_of(level) for level in LEVELS if level == site), ())


def _measure_site(
    sample: Sample,
    limits: Sequence[PublishedLimit],
    rng: np.random.Generator,
    resamples: int,
) -> dict[str, Any]:
    draws = measures.patient_draws(sample.patients, rng, resamples)
    area, limit_hu = roc_of(sample)
    # Parameters are valid for all samples if they are for the whole set.
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        resampled = [roc_of(sample.take(draw)) for draw in draws]
    figures: dict[str, Any] = {
        "values": len(sample.hu),
        "patients": len(set(sample.patients.tolist())),
        "osteoporosis": int(sample.positive.sum()),
        "auc": interval(area, [area for area, _ in resampled]),
        "youden": None,
        "limits": [_at_published(sample, limit, rng, resamples) for limit in limits],
    }
    if sample.has_both:
        figures["youden"] = {
            "limit_hu": interval(limit_hu, [limit for _, limit in resampled]),
            **accuracy_at(limit_hu, sample, draws),
            "note": CHOSEN_HERE,
        }
    return figures


def roc_of(sample: Sample) -> tuple[float, float]:
    """Return the AUC, and the limit with the largest sum of sensitivity and specificity, HU.

    NaN where a class is missing. Of values in whole HU, as the report shows them. Source of
    the limit: Youden, Cancer 1950;3:32–35.
    """
    if not sample.has_both:
        return float("nan"), float("nan")
    false_positive, true_positive, scores = roc_curve(sample.positive, -np.rint(sample.hu))
    limit_hu = -scores[np.argmax(true_positive - false_positive)]
    return float(metrics.auc(false_positive, true_positive)), float(limit_hu)


def _at_published(
    sample: Sample, limit: PublishedLimit, rng: np.random.Generator, resamples: int
) -> dict[str, Any]:
    """Return the accuracy at a limit: on all series, and on those that meet its conditions."""
    figures: dict[str, Any] = {
        "source": limit.citation,
        "limit_hu": limit.limit_hu,
        "published": limit.meaning,
    }
    for name, chosen in (("all", sample), ("conditions_met", sample.take(sample.valid))):
        draws = (
            measures.patient_draws(chosen.patients, rng, resamples) if len(chosen.hu) else []
        )
        figures[name] = {
            "values": len(chosen.hu),
            **accuracy_at(limit.limit_hu, chosen, draws),
        }
    return figures


def accuracy_at(limit_hu: float, sample: Sample, draws: Sequence[Integers]) -> dict[str, Any]:
    """Return sensitivity and specificity of values at or under a limit, with intervals.

    Values are rounded to whole HU, as the report reads them (``spine.validity``).
    """
    low = np.rint(sample.hu) <= limit_hu
    return {
        "sensitivity": _share(low, sample.positive, sample.patients, draws),
        "specificity": _share(~low, ~sample.positive, sample.patients, draws),
    }


def _share(
    right: Flags, among: Flags, patients: npt.NDArray[np.str_], draws: Sequence[Integers]
) -> dict[str, float | None]:
    """Return the share of ``right`` among the values of a class, None where it is empty."""
    value = _mean(right, among)
    if value in (0.0, 1.0):
        return extreme_interval(value, len(set(patients[among].tolist())))
    return interval(value, [_mean(right[draw], among[draw]) for draw in draws])


def _mean(right: Flags, among: Flags) -> float:
    return float(right[among].mean()) if among.any() else float("nan")


def measurement_lines(sites: Mapping[str, Any]) -> Iterable[str]:
    """Yield the figures as lines for the terminal."""
    for site, figures in sites.items():
        yield (
            f"{site} attenuation against DXA osteoporosis: {figures['values']} values of "
            f"{figures['patients']} patients, {figures['osteoporosis']} with osteoporosis, "
            f"AUC {format_interval(figures['auc'])}"
        )
        if (best := figures["youden"]) is not None:
            limit = {name: value and round(value) for name, value in best["limit_hu"].items()}
            yield (
                f"  best limit (Youden) {limit['value']} HU ({limit['low']} to "
                f"{limit['high']}): {_accuracy_text(best)}, {best['note']}"
            )
        for limit in figures["limits"]:
            for name, words in (("all", "all"), ("conditions_met", "its conditions met")):
                found = limit[name]
                yield (
                    f"  at most {limit['limit_hu']:.0f} HU ({limit['source']}: "
                    f"{limit['published']}), {words}, {found['values']} values: "
                    f"{_accuracy_text(found)}"
                )


def _accuracy_text(figures: Mapping[str, Any]) -> str:
    return (
        f"sensitivity {format_interval(figures['sensitivity'])}, "
        f"specificity {format_interval(figures['specificity'])}"
    )
