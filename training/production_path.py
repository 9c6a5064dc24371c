"""The whole path of the worker on whole simulated series: DICOM files in, grades out.

Crops of training and test are cut where the truth is; here the worker finds the femurs, the
plane and the crop by itself, on coronal and axial series of patients it has not met.
"""

import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from training.cohort_crops import sample_patient
from training.evaluate import accuracy, confusion, macro_auc
from training.simulate.acquisition import sample_acquisition
from training.simulate.series import write_series
from training.simulate.truth import truth
from worker.model import GRADES
from worker.pipeline.results import Model, Orientation, Rejected

AXIAL_SHARE = 0.35
# Axial slices of at least this: thinner ones only take longer to write.
AXIAL_THICKNESS_MM = (1.25, 2.0, 2.5, 3.0, 5.0)
# Patients of the cohort are numbered from 0; these are others.
FIRST_PATIENT = 1_000_000


@dataclass(frozen=True, slots=True)
class HipOutcome:
    """What the worker said of one hip: probabilities, or the code of its reason."""

    expected: int
    probabilities: tuple[float, ...] | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class SeriesOutcome:
    """``reason`` : code of the rejection of the whole series, or None."""

    orientation: Orientation
    reason: str | None
    hips: tuple[HipOutcome, ...]


def run_production_path(
    model_dir: Path,
    count: int,
    seed: int,
    *,
    workers: int,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Write and screen ``count`` series in ``workers`` processes and count what came out."""
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_load, initargs=(model_dir,)
    ) as pool:
        outcomes = []
        for outcome in pool.map(screen_one, [seed] * count, range(count)):
            outcomes.append(outcome)
            advance()
    return summarize(outcomes)


_model: list[Model] = []


def _load(model_dir: Path) -> None:
    """Once a process: TensorFlow takes longer to start than a series to screen."""
    from worker import package

    _model.append(package.load(model_dir))


def screen_one(seed: int, number: int) -> SeriesOutcome:
    """Sample, write, screen and delete one series."""
    from worker.pipeline.screen import screen

    rng = np.random.default_rng([seed, FIRST_PATIENT + number])
    subject = sample_patient(rng)
    if rng.random() < AXIAL_SHARE:
        thickness = float(rng.choice(AXIAL_THICKNESS_MM))
        acquisition = sample_acquisition(rng, subject, plane="axial", thickness_mm=thickness)
    else:
        acquisition = sample_acquisition(rng, subject, plane="coronal")
    with tempfile.TemporaryDirectory() as folder:
        result = screen(write_series(subject, acquisition, Path(folder)), _model[0])
    expected = {hip.side: GRADES.index(hip.grade) for hip in truth(subject)}
    hips = [
        HipOutcome(
            expected[hip.side],
            None if hip.probabilities is None else tuple(hip.probabilities[g] for g in GRADES),
            None if hip.reason is None else hip.reason.code.value,
        )
        for hip in result.hips
    ]
    reason = result.reason.code.value if isinstance(result, Rejected) else None
    return SeriesOutcome(acquisition.plane, reason, tuple(hips))


def summarize(outcomes: list[SeriesOutcome]) -> dict[str, Any]:
    """Counts, and the grades of what was graded; without intervals, for it is a small set."""
    graded = [
        (outcome.orientation, hip)
        for outcome in outcomes
        for hip in outcome.hips
        if hip.probabilities is not None
    ]
    refused = Counter(hip.reason for o in outcomes for hip in o.hips if hip.reason is not None)
    result: dict[str, Any] = {
        "series": len(outcomes),
        "axial": sum(outcome.orientation == "axial" for outcome in outcomes),
        "series_rejected": dict(Counter(o.reason for o in outcomes if o.reason is not None)),
        "hips_graded": len(graded),
        "hips_not_assessable": dict(refused),
    }
    if graded:
        shares = np.array([hip.probabilities for _, hip in graded], np.float64)
        expected = np.array([hip.expected for _, hip in graded], np.intp)
        axial = np.array([orientation == "axial" for orientation, _ in graded])
        result["accuracy"] = round(accuracy(shares, expected), 4)
        result["macro_auc"] = round(macro_auc(shares, expected), 4)
        for name, chosen in (("coronal", ~axial), ("axial", axial)):
            if chosen.any():
                result[f"accuracy_{name}"] = round(
                    accuracy(shares[chosen], expected[chosen]), 4
                )
        result["confusion"] = confusion(shares.argmax(axis=1), expected)
    return result
