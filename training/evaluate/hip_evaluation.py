"""The worker's result for one labeled hip, and the tables of all hips."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worker.pipeline.lumbar_results import LEVELS, Level, LumbarMeasurements
from worker.pipeline.model.networks import GRADES
from worker.pipeline.results import Hip, NeckAttenuation
from worker.pipeline.volume import Orientation, Side

Shares = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class HipEvaluation:
    """The worker's result for one labeled hip.

    ``expected`` : index of the true grade. ``image`` : probabilities by the image alone.
    ``used`` : probabilities of the result, with demographics where model and header have them.
    Both are None for a hip without a grade; ``code`` and ``text`` then state the reason.
    ``t_score_estimate`` : estimate, lower and upper end of the 95 % interval. ``case`` : file
    name of the picture. ``baseline_image``, ``baseline_used`` : probabilities of the shipped
    model for the same crop. ``features`` : (k,) of the network. ``neck_hu`` : of the hip.
    ``lumbar_hu`` : of the series by level. ``limits_hold`` : whether the series meets the
    conditions of the published limits, None where no vertebra with one is measured.
    """

    patient: str
    series_dir: str
    side: Side
    orientation: Orientation | None
    t_score: float
    expected: int
    image: Shares | None = None
    used: Shares | None = None
    code: str | None = None
    text: str | None = None
    t_score_estimate: tuple[float, float, float] | None = None
    case: str | None = None
    baseline_image: Shares | None = None
    baseline_used: Shares | None = None
    neck_hu: float | None = None
    lumbar_hu: Mapping[Level, float] = field(default_factory=dict)
    limits_hold: bool | None = None
    features: npt.NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    @property
    def predicted(self) -> int | None:
        """Index of the grade as reported; None without a grade."""
        return None if self.used is None else int(np.argmax(self.used))


def with_measurements(
    evaluation: HipEvaluation, hip: Hip | None, lumbar: LumbarMeasurements | None
) -> HipEvaluation:
    """Return an evaluation with the measurements of its hip and series."""
    neck = None if hip is None else hip.neck
    return replace(
        evaluation,
        neck_hu=neck.mean_hu if isinstance(neck, NeckAttenuation) else None,
        lumbar_hu={} if lumbar is None else lumbar.hu,
        limits_hold=None if lumbar is None else lumbar.limits_hold,
    )


def measure_t_scores(graded: Sequence[HipEvaluation]) -> dict[str, float | int] | None:
    """Return errors of the estimates and the share of T-scores inside of their intervals."""
    known = [(hip.t_score, hip.t_score_estimate) for hip in graded]
    values = np.array([(t, *estimate) for t, estimate in known if estimate is not None])
    if not len(values):
        return None
    measured, estimate, low, high = values.T
    return {
        "hips": len(values),
        "mean_error": round(float(np.mean(estimate - measured)), 4),
        "mean_absolute_error": round(float(np.mean(np.abs(estimate - measured))), 4),
        "coverage": round(float(np.mean((low <= measured) & (measured <= high))), 4),
    }


def write_hips(path: Path, evaluations: Sequence[HipEvaluation]) -> None:
    """Write every labeled hip as a line of a CSV file."""
    names = [*(grade.value for grade in GRADES), *(f"{g.value} (image)" for g in GRADES)]
    estimate = ["t_score_estimate", "t_score_low", "t_score_high"]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ["patient_id", "series_dir", "side", "orientation", "t_score", "grade", *names,
             *estimate, "picture", *(f"{level.lower()}_hu" for level in LEVELS),
             "limits_hold", "neck_hu"]
        )  # fmt: skip
        for hip in evaluations:
            known = [hip.patient, hip.series_dir, hip.side, hip.orientation, hip.t_score]
            shares = [*(hip.used or [""] * 3), *(hip.image or [""] * 3)]
            t_score = [f"{value:.3f}" for value in hip.t_score_estimate or ()] or [""] * 3
            grade = GRADES[hip.expected].value
            lumbar = [_hu(hip.lumbar_hu.get(level)) for level in LEVELS]
            measured = [*lumbar, hip.limits_hold, _hu(hip.neck_hu)]
            table.writerow([*known, grade, *shares, *t_score, hip.case, *measured])


def _hu(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def write_features(path: Path, evaluations: Sequence[HipEvaluation]) -> None:
    """Write ``rows`` (n,), lines of the table from 0 on, and ``features`` (n, k) float32."""
    rows = [at for at, hip in enumerate(evaluations) if hip.features is not None]
    features = [hip.features for hip in evaluations if hip.features is not None]
    np.savez(path, rows=np.array(rows, np.intp), features=np.array(features, np.float32))


def write_reasons(path: Path, evaluations: Sequence[HipEvaluation]) -> None:
    """Write the reasons for which a series or a hip was not graded."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["series_dir", "side", "code", "text"])
        table.writeheader()
        for hip in evaluations:
            if hip.code is not None:
                row = asdict(hip)
                table.writerow({name: row[name] for name in table.fieldnames})
