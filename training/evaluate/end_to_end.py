"""``training evaluate``: screen a site's series with the worker's pipeline, compare with DXA.

Nothing is trained or selected on these series. Patients on whom the model was trained or
selected are counted, because figures of them are not those of new patients.

``OUT/evaluation.json``  figures
``OUT/hips.csv``         every labeled hip, with the estimate of its T-score
``OUT/features.npz``     features of the network of each graded hip
``OUT/cases``            picture of each graded hip with its Grad-CAM
``OUT/errors.html``      the wrongly graded hips, with their pictures
``OUT/measurements.png`` ROC curves of the attenuation of spine and necks against DXA
``OUT/reasons.csv``      reasons for which a series or a hip was not graded
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from common.dicom.patient_values import examination_date
from training.cohort.manifest import ManifestRow, by_series, date_exclusion, find_files
from training.evaluate.baseline import compare
from training.evaluate.cases import case_name, outputs_of, save_picture
from training.evaluate.gallery import write_gallery
from training.evaluate.hip_evaluation import (
    HipEvaluation,
    measure_t_scores,
    with_measurements,
    write_features,
    write_hips,
    write_reasons,
)
from training.evaluate.measurement_figure import write_measurements
from training.evaluate.measurements import measurement_lines
from training.evaluate.measures import RESAMPLES, format_interval, measure_performance
from training.quiet import import_quietly
from worker.pipeline.demographics import Demographics, demographics_of
from worker.pipeline.grading import grade_of_t_score
from worker.pipeline.model import package
from worker.pipeline.model.classify import ImageModel
from worker.pipeline.model.networks import GRADES
from worker.pipeline.results import Hip, Rejected, Screening
from worker.pipeline.volume import Orientation

CASES = "cases"


@dataclass(frozen=True, slots=True)
class Options:
    """Choices of ``evaluate``.

    ``parts`` : part of each patient of the run that made the model; None if not recorded.
    ``baseline`` : package that grades the same crops for comparison.
    """

    seed: int = 0
    require_dates: bool = False
    parts: Mapping[str, str] | None = None
    baseline: Path | None = None


@dataclass(frozen=True, slots=True)
class SeriesJob:
    """One series to be evaluated; ``model_dir`` : None: without a model."""

    rows: Sequence[ManifestRow]
    model_dir: Path | None
    cases: Path
    require_dates: bool = False
    baseline: Path | None = None


def evaluate_rows(
    rows: Iterable[ManifestRow],
    model_dir: Path | None,
    out_dir: Path,
    *,
    workers: int,
    options: Options = Options(),
    advance: Callable[[int], None] = lambda series: None,
) -> dict[str, Any]:
    """Screen every series of manifests in ``workers`` processes and return the figures.

    Without a ``model_dir`` it only measures. Raises ModelError where it cannot be used.
    """
    if model_dir is not None:
        package.verify(model_dir)  # here, for a plain message before the processes start
    header = None if options.baseline is None else package.verify(options.baseline)
    cases = out_dir / CASES
    jobs = [
        SeriesJob(group, model_dir, cases, options.require_dates, options.baseline)
        for group in by_series(rows).values()
    ]
    evaluations: list[HipEvaluation] = []
    with ProcessPoolExecutor(
        workers, get_context("spawn"), import_quietly, ("tensorflow",)
    ) as pool:
        for of_series in pool.map(evaluate_series, jobs):
            evaluations += of_series
            advance(1)
    rng = np.random.default_rng([options.seed, 4])
    summary = summarize(evaluations, rng, parts=options.parts)
    if header is not None:
        measured = compare(evaluations, rng)
        summary["baseline"] = {"name": f"{header['name']} {header['version']}", **measured}
    out_dir.mkdir(parents=True, exist_ok=True)
    summary["measurements"] = write_measurements(out_dir, evaluations, options.seed)
    (out_dir / "evaluation.json").write_text(json.dumps(summary, indent=1) + "\n")
    write_hips(out_dir / "hips.csv", evaluations)
    write_features(out_dir / "features.npz", evaluations)
    write_reasons(out_dir / "reasons.csv", evaluations)
    write_gallery(out_dir / "errors.html", evaluations, cases)
    return summary


@cache
def _load_model(model_dir: Path) -> ImageModel:
    """Load the model once per process: TensorFlow starts slower than a series is screened."""
    return package.load(model_dir)


def evaluate_series(job: SeriesJob) -> list[HipEvaluation]:
    """Return the evaluation of every hip that the rows of one series label."""
    from worker.pipeline.screen import screen

    rows = job.rows
    found = date_exclusion(rows, required=False)
    if found is not None:
        return [replace(each, code=found[0], text=found[1]) for each in _expected(rows, None)]
    model = None if job.model_dir is None else _load_model(job.model_dir)
    result = screen(find_files(rows[0].series_dir), model)
    if not isinstance(result, Rejected):
        day = examination_date(result.source)
        found = date_exclusion(rows, required=job.require_dates, header_date=day)
        if found is not None:
            return [
                replace(each, code=found[0], text=found[1])
                for each in _expected(rows, result.orientation)
            ]
    return [_evaluation(each, result, job) for each in _expected(rows, result.orientation)]


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
    expected: HipEvaluation, result: Screening | Rejected, job: SeriesJob
) -> HipEvaluation:
    """Return the evaluation of one hip with its result."""
    hip = next((each for each in result.hips if each.side == expected.side), None)
    expected = with_measurements(expected, hip, result.lumbar)
    rejected = result.reason if isinstance(result, Rejected) else None
    reason = rejected if hip is None else hip.reason
    if isinstance(result, Screening) and hip is not None and hip.probabilities is not None:
        return _graded(expected, hip, demographics_of(result.source), job)
    if reason is None:
        return expected
    return replace(expected, code=reason.code.value, text=reason.text)


def _graded(
    expected: HipEvaluation, hip: Hip, patient: Demographics, job: SeriesJob
) -> HipEvaluation:
    """Return the evaluation of a graded hip, and write its picture."""
    if job.model_dir is None or hip.crop is None or hip.graded is None:
        return expected
    if hip.probabilities is None or hip.heat_map is None:
        return expected
    header = package.verify(job.model_dir)
    # Further passes beside that of the screening are fast.
    found = outputs_of(_load_model(job.model_dir), header, hip.graded, hip.side, patient)
    name = case_name(expected.series_dir, hip.side)
    save_picture(job.cases / name, hip.crop.pixels, hip.heat_map)
    graded = replace(
        expected,
        image=found.image,
        used=tuple(hip.probabilities[grade] for grade in GRADES),
        t_score_estimate=found.t_score,
        features=found.features,
        case=name,
    )
    if job.baseline is None:
        return graded
    other = outputs_of(_load_model(job.baseline), header, hip.graded, hip.side, patient)
    return replace(graded, baseline_image=other.image, baseline_used=other.used)


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
    summary["t_score"] = measure_t_scores(graded)
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
    t_score = summary.get("t_score")
    if t_score:
        lines.append(
            f"T-score: mean error {t_score['mean_error']:+.2f}, mean absolute error "
            f"{t_score['mean_absolute_error']:.2f}; {100 * t_score['coverage']:.0f} % of "
            f"{t_score['hips']} hips are inside their 95 % interval"
        )
    baseline = summary.get("baseline", {})
    for variant in VARIANTS:
        if variant in baseline:
            figures = baseline[variant]
            lines.append(
                f"{baseline['name']} on the same hips, {VARIANTS[variant]}: "
                f"accuracy {format_interval(figures['accuracy'])}, "
                f"macro AUC {format_interval(figures['macro_auc'])}; this model is better by "
                f"{format_interval(figures['difference']['accuracy'], sign='+')} and "
                f"{format_interval(figures['difference']['macro_auc'], sign='+')}"
            )
    return [*lines, *measurement_lines(summary.get("measurements", {}))]


GROUPS = {"all": "all", "coronal": "coronal", "axial": "axial", "new": "new patients only"}
VARIANTS = {"image": "image alone", "used": "as reported by the worker"}
