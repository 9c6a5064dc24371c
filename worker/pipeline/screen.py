"""Screen one series: run the steps of the pipeline in order and time each."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from worker.pipeline import crop, load, select
from worker.pipeline.demographics import demographics_of
from worker.pipeline.femur_outline import femur_outline
from worker.pipeline.femurs import planes
from worker.pipeline.femurs.grid import build_grid
from worker.pipeline.grading import worse_grade
from worker.pipeline.header_values import source_header
from worker.pipeline.heat_map import on_shown_plane
from worker.pipeline.measurement_only import no_model, nothing_to_report
from worker.pipeline.neck import neck_attenuation
from worker.pipeline.reasons import Check, Reason, ReasonCode
from worker.pipeline.results import MEASUREMENT, GradedCrops, Hip, Model, Rejected, Screening
from worker.pipeline.spine.lumbar import measure_lumbar
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.patient import ALL_ADULTS, PatientRules
from worker.pipeline.validation.rules import first_failure, to_check
from worker.pipeline.volume import Femur, Series, Side, Volume
from worker.pipeline.warnings import measurement_warnings, screening_warnings

SIDES: tuple[Side, Side] = ("R", "L")

# Where no hip can be graded, the series gets the first of these that a hip has: the reason
# that is most useful to the reader.
REASON_PRIORITY = (
    ReasonCode.NO_MODEL, ReasonCode.METAL, ReasonCode.OUT_OF_DISTRIBUTION, ReasonCode.NO_FEMUR,
)  # fmt: skip


class Stopwatch:
    """Wall time of each step in ms, ordered by the first run of each step."""

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the duration of the block to the step ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - start) * 1000
            self.timings_ms[name] = round(self.timings_ms.get(name, 0.0) + spent, 1)


def screen(
    paths: Sequence[Path],
    model: Model | None,
    *,
    refused: int = 0,
    patients: PatientRules = ALL_ADULTS,
) -> Screening | Rejected:
    """Screen the files of one CT series, of which ``refused`` more were refused at reception.

    Without a ``model`` no hip is graded: lumbar spine and femoral necks are measured.
    Return a ``Rejected`` with a reason where no hip can be graded and no lumbar vertebra of a
    certain level is measured; one of them is enough. Raise only for faults of the
    machine (unreadable disk, exhausted memory).
    """
    stopwatch = Stopwatch()
    with stopwatch.step("load_headers"):
        series = load.read_series(paths)
    if isinstance(series, Rejected):
        return series
    with stopwatch.step("eligible"):
        found = eligibility.check_before_pixels(series, refused, patients)
        checks = (*series.checks, *found)
    reason = first_failure(checks)
    if reason is not None:
        return _rejected(series, reason, checks, stopwatch)
    with load.reserve_memory(series):
        return _screen_pixels(series, checks, model, stopwatch)


def _screen_pixels(
    series: Series, checks: tuple[Check, ...], model: Model | None, stopwatch: Stopwatch
) -> Screening | Rejected:
    """Decode and screen a series whose headers have passed ``checks``."""
    with stopwatch.step("load_pixels"):
        volume = load.read_volume(series)
    if isinstance(volume, Rejected):
        return _rejected(series, volume.reason, (*checks, *volume.checks), stopwatch)
    with stopwatch.step("eligible"):
        decoded = to_check(eligibility.PIXELS, f"{len(series.headers)} slices decoded.")
        checks = (*checks, decoded, *eligibility.check_volume(volume))
    reason = first_failure(checks)
    if reason is not None:
        return _rejected(series, reason, checks, stopwatch)
    with stopwatch.step("select"):
        grid = build_grid(volume)
        femurs = select.find_femurs(volume, grid)
    with stopwatch.step("spine"):
        lumbar = measure_lumbar(series, grid, femurs)
    result = _screen_femurs(series, volume, femurs, checks, model, stopwatch)
    result = replace(result, lumbar=lumbar)
    if isinstance(result, Screening) or not result.hips:
        return result
    if lumbar.measured:
        return _measured(series, volume, result)
    if result.reason.code is ReasonCode.NO_MODEL:
        return replace(result, reason=nothing_to_report(result.hips, lumbar))
    return result


def _measured(series: Series, volume: Volume, ungraded: Rejected) -> Screening:
    """Return the result of a series whose hips have reasons and whose spine is measured."""
    return Screening(
        series_instance_uid=series.series_instance_uid,
        orientation=series.orientation,
        headers=series.headers,
        hips=ungraded.hips,
        grade=None,
        model=MEASUREMENT,
        warnings=measurement_warnings(series, volume, ungraded.hips),
        timings_ms=ungraded.timings_ms,
        checks=ungraded.checks,
        lumbar=ungraded.lumbar,
    )


def _screen_femurs(
    series: Series,
    volume: Volume,
    femurs: Sequence[Femur],
    checks: tuple[Check, ...],
    model: Model | None,
    stopwatch: Stopwatch,
) -> Screening | Rejected:
    """Screen the hips of a volume that has passed ``checks``."""
    with stopwatch.step("eligible"):
        checks = (*checks, *eligibility.check_femurs(volume, femurs))
    reason = first_failure(checks)
    if reason is not None:
        return _rejected(series, reason, checks, stopwatch)
    if model is not None:
        model = model.for_patient(demographics_of(source_header(series.headers)))
    hips = tuple(
        replace(hip, series_instance_uid=series.series_instance_uid)
        for hip in _screen_hips(volume, femurs, model, stopwatch)
    )
    with stopwatch.step("warnings"):
        warnings = _warnings(series, volume, hips, model)
    grades = [hip.grade for hip in hips if hip.grade is not None]
    if model is None or not grades:
        reason = _main_reason(hips)
        return _rejected(series, reason, checks, stopwatch, hips=hips, warnings=warnings)
    return Screening(
        series_instance_uid=series.series_instance_uid,
        orientation=series.orientation,
        headers=series.headers,
        hips=hips,
        grade=worse_grade(grades),
        model=model.info,
        warnings=warnings,
        timings_ms=stopwatch.timings_ms,
        checks=checks,
    )


def _warnings(
    series: Series, volume: Volume, hips: Sequence[Hip], model: Model | None
) -> tuple[str, ...]:
    if model is None:
        return measurement_warnings(series, volume, hips)
    return screening_warnings(series, volume, hips, model.envelope)


def _screen_hips(
    volume: Volume, femurs: Sequence[Femur], model: Model | None, stopwatch: Stopwatch
) -> tuple[Hip, ...]:
    """Return the right and the left hip, graded or with the reason why not."""
    by_side = {femur.side: femur for femur in femurs}
    return tuple(
        _screen_hip(volume, by_side[side], model, stopwatch)
        if side in by_side
        else _not_assessable(side, None, eligibility.missing_hip(volume, side, femurs))
        for side in SIDES
    )


def _screen_hip(volume: Volume, femur: Femur, model: Model | None, stopwatch: Stopwatch) -> Hip:
    with stopwatch.step("eligible"):
        checks = eligibility.check_hip(volume, femur)
    if first_failure(checks) is not None:
        return _not_assessable(femur.side, femur, checks)
    with stopwatch.step("crop"):
        plane = select.choose_plane(volume, femur)
        neck = neck_attenuation(volume, plane, femur)
        hip = Hip(
            side=femur.side,
            femur=femur,
            plane=plane,
            neck=neck,
            outline_mm=femur_outline(plane, femur),
            checks=checks,
        )
    if model is None:
        return replace(hip, reason=no_model(neck))
    with stopwatch.step("crop"):
        hip = replace(hip, crop=crop.crop_hip(plane, femur))
        graded = crop.crop_graded(planes.graded_cuts(volume, femur), femur, plane)
    return _grade_hip(hip, graded, model, stopwatch)


def _grade_hip(hip: Hip, graded: GradedCrops, model: Model, stopwatch: Stopwatch) -> Hip:
    """Return a measured hip with its grade, or with the reason against it."""
    with stopwatch.step("classify"):
        classification = model.classify(graded.pixels, hip.side, graded.femur_mm)
    checks = (*hip.checks, to_check(eligibility.FAMILIARITY, classification.in_distribution))
    reason = first_failure(checks)
    accepted = reason is None
    return replace(
        hip,
        reason=reason,
        graded=graded,
        probabilities=classification.probabilities if accepted else None,
        grade=max(classification.probabilities, key=classification.probabilities.__getitem__)
        if accepted
        else None,
        image_grade=classification.image_grade if accepted else None,
        heat_map=on_shown_plane(classification.heat_map, graded.cosine) if accepted else None,
        checks=checks,
    )


def _not_assessable(side: Side, femur: Femur | None, checks: tuple[Check, ...]) -> Hip:
    return Hip(side=side, femur=femur, reason=first_failure(checks), checks=checks)


def _main_reason(hips: Sequence[Hip]) -> Reason:
    """Return the most useful code of the hips' reasons with the texts of all of them."""
    reasons = [hip.reason for hip in hips if hip.reason is not None]
    code = min((reason.code for reason in reasons), key=REASON_PRIORITY.index)
    texts = dict.fromkeys(reason.text for reason in reasons)
    return Reason(code, " ".join(texts))


def _rejected(
    series: Series,
    reason: Reason,
    checks: tuple[Check, ...],
    stopwatch: Stopwatch,
    *,
    hips: tuple[Hip, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Rejected:
    return Rejected(
        series_instance_uid=series.series_instance_uid,
        reason=reason,
        orientation=series.orientation,
        hips=hips,
        timings_ms=stopwatch.timings_ms,
        warnings=warnings,
        checks=checks,
    )
