"""``training evaluate``: a site's own series through the worker's own path, against DXA.

Nothing is trained or chosen on these series. ``OUT/evaluation.json`` holds the figures,
``OUT/hips.csv`` every hip, ``OUT/reasons.csv`` why a series or a hip was not graded.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from training.manifest import Row, by_series, read_manifest
from training.measures import evaluate, said
from training.prepare import find_files
from worker.model import GRADES
from worker.pipeline.classify import ImageModel
from worker.pipeline.grade import grade_of_t_score
from worker.pipeline.results import Orientation, Rejected, Side

Shares = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class HipOutcome:
    """What the worker said of one labelled hip.

    ``expected`` : index of the true grade. ``image`` : probabilities by the picture alone,
    ``used`` : those of the result, with demographics where model and header have them; or None
    and the ``code`` and ``text`` of the reason.
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


def evaluate_manifests(
    manifests: Sequence[Path],
    model_dir: Path,
    out_dir: Path,
    *,
    workers: int,
    seed: int = 0,
    advance: Callable[[int], None] = lambda series: None,
) -> dict[str, Any]:
    """Screen every series of the manifests in ``workers`` processes and count what came out.

    Raises ManifestError, and ModelError where the model cannot be used.
    """
    groups = [rows for path in manifests for rows in by_series(read_manifest(path)).values()]
    outcomes: list[HipOutcome] = []
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_load, initargs=(model_dir,)
    ) as pool:
        for found in pool.map(screen_series, groups):
            outcomes += found
            advance(1)
    summary = summarize(outcomes, np.random.default_rng([seed, 4]))
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / "evaluation.json").write_text(json.dumps(summary, indent=1) + "\n")
    _write_hips(out_dir / "hips.csv", outcomes)
    _write_reasons(out_dir / "reasons.csv", outcomes)
    return summary


_models: list[ImageModel] = []


def _load(model_dir: Path) -> None:
    """Once a process: TensorFlow takes longer to start than a series to screen."""
    from worker import package

    _models.append(package.load(model_dir))


def screen_series(rows: Sequence[Row]) -> list[HipOutcome]:
    """The outcome of every hip that the rows of one series have a label for."""
    from worker.pipeline.screen import screen

    model = _models[0]
    result = screen(find_files(rows[0].series_dir), model)
    hips = {hip.side: hip for hip in result.hips}
    rejected = result.reason if isinstance(result, Rejected) else None
    outcomes = []
    for row in rows:
        for side in (row.side,) if row.side else ("R", "L"):
            outcome = HipOutcome(
                patient=row.patient_id,
                series_dir=str(row.series_dir),
                side=side,
                orientation=result.orientation,
                t_score=row.t_score,
                expected=GRADES.index(grade_of_t_score(row.t_score)),
            )
            hip = hips.get(side)
            reason = rejected if hip is None else hip.reason
            if hip is not None and hip.probabilities is not None and hip.crop is not None:
                # The network is asked again, without the patient: that costs next to nothing.
                alone = replace(model, patient_temperature=None).classify(hip.crop.pixels, side)
                outcome = replace(
                    outcome,
                    image=tuple(alone.probabilities[grade] for grade in GRADES),
                    used=tuple(hip.probabilities[grade] for grade in GRADES),
                )
            elif reason is not None:
                outcome = replace(outcome, code=reason.code.value, text=reason.text)
            outcomes.append(outcome)
    return outcomes


def summarize(outcomes: Sequence[HipOutcome], rng: np.random.Generator) -> dict[str, Any]:
    """Counts, reasons, and the figures of what was graded, grouped by patient."""
    graded = [outcome for outcome in outcomes if outcome.used is not None]
    refused = Counter(outcome.code for outcome in outcomes if outcome.used is None)
    summary: dict[str, Any] = {
        "series": len({outcome.series_dir for outcome in outcomes}),
        "patients": len({outcome.patient for outcome in outcomes}),
        "hips": len(outcomes),
        "hips_graded": len(graded),
        "reasons": dict(refused),
    }
    if not graded:
        return summary
    for name, chosen in (
        ("all", graded),
        ("coronal", [o for o in graded if o.orientation == "coronal"]),
        ("axial", [o for o in graded if o.orientation == "axial"]),
    ):
        if chosen:
            expected = np.array([outcome.expected for outcome in chosen], np.intp)
            patients = np.array([outcome.patient for outcome in chosen])
            summary[name] = {
                variant: evaluate(
                    np.array([getattr(outcome, variant) for outcome in chosen]),
                    expected, patients, rng,
                )
                for variant in ("image", "used")
            }  # fmt: skip
    return summary


def lines(summary: dict[str, Any]) -> list[str]:
    """The figures in a few lines for the terminal."""
    text = [
        f"{summary['series']} series of {summary['patients']} patients: "
        f"{summary['hips_graded']} of {summary['hips']} hips graded",
        *(f"  not graded, {code}: {count}" for code, count in summary["reasons"].items()),
    ]
    for name in ("all", "coronal", "axial"):
        for variant, found in summary.get(name, {}).items():
            text.append(
                f"{name}, {VARIANTS[variant]}: accuracy {said(found['accuracy'])}, "
                f"macro AUC {said(found['macro_auc'])}, ECE {found['ece']:.3f}"
            )
    return text


VARIANTS = {"image": "picture alone", "used": "as the worker reports"}


def _write_hips(path: Path, outcomes: Sequence[HipOutcome]) -> None:
    names = [*(grade.value for grade in GRADES), *(f"{g.value} (image)" for g in GRADES)]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ["patient_id", "series_dir", "side", "orientation", "t_score", "grade", *names]
        )
        for o in outcomes:
            shares = [*(o.used or [""] * 3), *(o.image or [""] * 3)]
            grade = GRADES[o.expected].value
            table.writerow(
                [o.patient, o.series_dir, o.side, o.orientation, o.t_score, grade, *shares]
            )


def _write_reasons(path: Path, outcomes: Sequence[HipOutcome]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["series_dir", "side", "code", "text"])
        table.writeheader()
        for outcome in outcomes:
            if outcome.code is not None:
                row = asdict(outcome)
                table.writerow({name: row[name] for name in table.fieldnames})
