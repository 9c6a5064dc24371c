"""``training evaluate``: screen a site's series with the worker's pipeline, compare with DXA.

Nothing is trained or selected on these series. Patients on whom the model was trained or
selected are counted, because figures of them are not those of new patients.

``OUT/evaluation.json``  figures
``OUT/hips.csv``         every labeled hip
``OUT/reasons.csv``      reasons for which a series or a hip was not graded
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from common.dicom.patient_values import examination_date
from training.cohort.manifest import ManifestRow, by_series, date_exclusion, find_files
from training.evaluate.measures import RESAMPLES, format_interval, measure_performance
from training.quiet import import_quietly
from worker.pipeline.grading import grade_of_t_score
from worker.pipeline.model import package
from worker.pipeline.model.classify import ImageModel
from worker.pipeline.model.networks import GRADES
from worker.pipeline.results import Rejected, Screening
from worker.pipeline.volume import Orientation, Side

Shares = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class HipEvaluation:
    """The worker's result for one labeled hip.

    ``expected`` : index of the true grade. ``image`` : probabilities by the image alone.
    ``used`` : probabilities of the result, with demographics where model and header have them.
    Both are None for a hip without a grade; ``code`` and ``text`` then state the reason.
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


@dataclass(frozen=True, slots=True)
class Options:
    """Choices of ``evaluate``.

    ``parts`` : part of each patient of the run that made the model; None if not recorded.
    """

    seed: int = 0
    require_dates: bool = False
    parts: Mapping[str, str] | None = None


def evaluate_rows(
    rows: Iterable[ManifestRow],
    model_dir: Path,
    out_dir: Path,
    *,
    workers: int,
    options: Options = Options(),
    advance: Callable[[int], None] = lambda series: None,
) -> dict[str, Any]:
    """Screen every series of manifests in ``workers`` processes and return the figures.

    Raises ModelError where the model cannot be used.
    """
    package.verify(model_dir)  # here, for a plain message before the processes start
    jobs = [(group, model_dir, options.require_dates) for group in by_series(rows).values()]
    evaluations: list[HipEvaluation] = []
    with ProcessPoolExecutor(
        workers, get_context("spawn"), import_quietly, ("tensorflow",)
    ) as pool:
        for of_series in pool.map(evaluate_series, jobs):
            evaluations += of_series
            advance(1)
    rng = np.random.default_rng([options.seed, 4])
    summary = summarize(evaluations, rng, parts=options.parts)
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / "evaluation.json").write_text(json.dumps(summary, indent=1) + "\n")
    _write_hips(out_dir / "hips.csv", evaluations)
    _write_reasons(out_dir / "reasons.csv", evaluations)
    return summary


@cache
def _load_model(model_dir: Path) -> ImageModel:
    """Load the model once per process: TensorFlow starts slower than a series is screened."""
    return package.load(model_dir)


def evaluate_series(job: tuple[Sequence[ManifestRow], Path, bool]) -> list[HipEvaluation]:
    """Return the evaluation of every hip that the rows of one series label."""
    from worker.pipeline.screen import screen

    rows, model_dir, require_dates = job
    found = date_exclusion(rows, required=False)
    if found is not None:
        return [replace(each, code=found[0], text=found[1]) for each in _expected(rows, None)]
    model = _load_model(model_dir)
    result = screen(find_files(rows[0].series_dir), model)
    if not isinstance(result, Rejected):
        day = examination_date(result.source)
        found = date_exclusion(rows, required=require_dates, header_date=day)
        if found is not None:
            return [
                replace(each, code=found[0], text=found[1])
                for each in _expected(rows, result.orientation)
            ]
    return [_evaluation(each, result, model) for each in _expected(rows, result.orientation)]


def _expected(
    rows: Sequence[ManifestRow], orientation: Orientation | None
) -> list[HipEvaluation]:
    """Return every labeled hip without a result."""
    return [
        HipEvaluation(
            patient=row.patient_id,
            series_dir=str(row.series_dir),
            side=side,
            orientation=orientation,
            t_score=row.t_score,
            expected=GRADES.index(grade_of_t_score(row.t_score)),
        )
        for row in rows
        for side in ((row.side,) if row.side else ("R", "L"))
    ]


def _evaluation(
    expected: HipEvaluation, result: Screening | Rejected, model: ImageModel
) -> HipEvaluation:
    """Return the evaluation of one hip with its result."""
    hip = next((each for each in result.hips if each.side == expected.side), None)
    rejected = result.reason if isinstance(result, Rejected) else None
    reason = rejected if hip is None else hip.reason
    if hip is not None and hip.probabilities is not None and hip.crop is not None:
        # A second prediction without demographics is fast.
        alone = replace(model, patient_temperature=None).classify(
            hip.crop.pixels, hip.side, hip.crop.femur_mm
        )
        return replace(
            expected,
            image=tuple(alone.probabilities[grade] for grade in GRADES),
            used=tuple(hip.probabilities[grade] for grade in GRADES),
        )
    if reason is None:
        return expected
    return replace(expected, code=reason.code.value, text=reason.text)


def summarize(
    evaluations: Sequence[HipEvaluation],
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    parts: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return counts, reasons, and the figures of the graded hips.

    ``parts`` : part of each patient of the run that made the model; None if not recorded.
    """
    seen = {patient for patient, part in (parts or {}).items() if part != "test"}
    overlap = {hip.patient for hip in evaluations} & seen
    graded = [hip for hip in evaluations if hip.used is not None]
    reasons = Counter(hip.code for hip in evaluations if hip.used is None)
    summary: dict[str, Any] = {
        "series": len({hip.series_dir for hip in evaluations}),
        "patients": len({hip.patient for hip in evaluations}),
        "hips": len(evaluations),
        "hips_graded": len(graded),
        "reasons": dict(reasons),
        "overlap": None if parts is None else len(overlap),
    }
    if not graded:
        return summary
    for name, chosen in (
        ("all", graded),
        ("coronal", [hip for hip in graded if hip.orientation == "coronal"]),
        ("axial", [hip for hip in graded if hip.orientation == "axial"]),
        ("new", [hip for hip in graded if overlap and hip.patient not in overlap]),
    ):
        if chosen:
            expected = np.array([hip.expected for hip in chosen], np.intp)
            patients = np.array([hip.patient for hip in chosen])
            summary[name] = {
                variant: measure_performance(
                    np.array([getattr(hip, variant) for hip in chosen]),
                    expected, patients, rng, resamples,
                )
                for variant in ("image", "used")
            }  # fmt: skip
    return summary


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """Return the figures as lines for the terminal."""
    lines = [
        f"{summary['series']} series of {summary['patients']} patients: "
        f"{summary['hips_graded']} of {summary['hips']} hips graded",
        *(f"  not graded, {code}: {count}" for code, count in summary["reasons"].items()),
    ]
    if summary["overlap"]:
        lines.append(
            f"{summary['overlap']} of {summary['patients']} patients were used to train or to "
            "select this model: figures that include them are not those of new patients"
        )
    elif summary["overlap"] is None:
        lines.append(
            "whether the model was trained on these patients is not recorded; see --run"
        )
    for name in GROUPS:
        for variant, figures in summary.get(name, {}).items():
            lines.append(
                f"{GROUPS[name]}, {VARIANTS[variant]}: "
                f"accuracy {format_interval(figures['accuracy'])}, "
                f"macro AUC {format_interval(figures['macro_auc'])}, ECE {figures['ece']:.3f}"
            )
    return lines


GROUPS = {"all": "all", "coronal": "coronal", "axial": "axial", "new": "new patients only"}
VARIANTS = {"image": "image alone", "used": "as reported by the worker"}


def _write_hips(path: Path, evaluations: Sequence[HipEvaluation]) -> None:
    names = [*(grade.value for grade in GRADES), *(f"{g.value} (image)" for g in GRADES)]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ["patient_id", "series_dir", "side", "orientation", "t_score", "grade", *names]
        )
        for hip in evaluations:
            known = [hip.patient, hip.series_dir, hip.side, hip.orientation, hip.t_score]
            shares = [*(hip.used or [""] * 3), *(hip.image or [""] * 3)]
            table.writerow([*known, GRADES[hip.expected].value, *shares])


def _write_reasons(path: Path, evaluations: Sequence[HipEvaluation]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["series_dir", "side", "code", "text"])
        table.writeheader()
        for hip in evaluations:
            if hip.code is not None:
                row = asdict(hip)
                table.writerow({name: row[name] for name in table.fieldnames})
