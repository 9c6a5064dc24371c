"""The table of contents: one series from files to a frozen result, every step timed."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from worker.pipeline import crop, eligible, load, select
from worker.pipeline.cautions import cautions
from worker.pipeline.checks import check, reason_of
from worker.pipeline.demographics import demographics_of
from worker.pipeline.grade import worse_grade
from worker.pipeline.neck import neck_attenuation
from worker.pipeline.results import (
    Check,
    Femur,
    Hip,
    Model,
    Reason,
    ReasonCode,
    Rejected,
    Screening,
    Series,
    Side,
    Volume,
)

SIDES: tuple[Side, Side] = ("R", "L")

# Where no hip can be graded, the series gets the reason that tells the reader most.
TELLING = (ReasonCode.METAL, ReasonCode.OUT_OF_DISTRIBUTION, ReasonCode.NO_FEMUR)


class Stopwatch:
    """Wall time of each step in ms, in the order in which the steps first ran."""

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of the block to ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - start) * 1000
            self.timings_ms[name] = round(self.timings_ms.get(name, 0.0) + spent, 1)


def screen(paths: Sequence[Path], model: Model) -> Screening | Rejected:
    """Screen the files of one CT series.

    Returns a ``Rejected`` with its reason where no hip can be graded; one gradable hip is
    enough. Raises only for faults of the machine (unreadable disk, exhausted memory).
    """
    watch = Stopwatch()
    with watch.step("load_headers"):
        series = load.read_series(paths)
    if isinstance(series, Rejected):
        return series
    with watch.step("eligible"):
        checks = (*series.checks, *eligible.check_series(series))
    reason = reason_of(checks)
    if reason is not None:
        return _rejected(series, reason, checks, watch)
    with watch.step("load_pixels"):
        volume = load.read_volume(series)
    if isinstance(volume, Rejected):
        return _rejected(series, volume.reason, (*checks, *volume.checks), watch)
    with watch.step("eligible"):
        decoded = check(eligible.PIXELS, f"{len(series.headers)} slices decoded.")
        checks = (*checks, decoded, *eligible.check_volume(volume))
    reason = reason_of(checks)
    if reason is not None:
        return _rejected(series, reason, checks, watch)
    model = model.for_patient(demographics_of(series.headers[0]))
    with watch.step("select"):
        found = select.find_femurs(volume)
        femurs = {femur.side: femur for femur in found}
    hips = tuple(
        _screen_hip(volume, femurs[side], model, watch)
        if side in femurs
        else _refused(side, None, eligible.missing_hip(volume, side, found))
        for side in SIDES
    )
    with watch.step("warnings"):
        warnings = cautions(series, volume, hips, model.envelope)
    grades = [hip.grade for hip in hips if hip.grade is not None]
    if not grades:
        return _rejected(series, _telling_reason(hips), checks, watch, hips, warnings)
    return Screening(
        series_instance_uid=series.series_instance_uid,
        orientation=series.orientation,
        headers=series.headers,
        hips=hips,
        grade=worse_grade(grades),
        model=model.info,
        warnings=warnings,
        timings_ms=watch.timings_ms,
        checks=checks,
    )


def _screen_hip(volume: Volume, femur: Femur, model: Model, watch: Stopwatch) -> Hip:
    with watch.step("eligible"):
        checks = eligible.check_hip(volume, femur)
    if reason_of(checks) is not None:
        return _refused(femur.side, femur, checks)
    with watch.step("crop"):
        plane = select.choose_plane(volume, femur)
        hip_crop = crop.crop_hip(plane, femur)
        neck = neck_attenuation(plane, femur)
    with watch.step("classify"):
        classification = model.classify(hip_crop.pixels, femur.side)
    checks = (*checks, check(eligible.FAMILIARITY, classification.familiar))
    reason = reason_of(checks)
    accepted = reason is None
    return Hip(
        side=femur.side,
        femur=femur,
        reason=reason,
        plane=plane,
        crop=hip_crop,
        neck=neck,
        probabilities=classification.probabilities if accepted else None,
        grade=max(classification.probabilities, key=classification.probabilities.__getitem__)
        if accepted
        else None,
        heat_map=classification.heat_map if accepted else None,
        checks=checks,
    )


def _refused(side: Side, femur: Femur | None, checks: tuple[Check, ...]) -> Hip:
    return Hip(side=side, femur=femur, reason=reason_of(checks), checks=checks)


def _telling_reason(hips: Sequence[Hip]) -> Reason:
    reasons = [hip.reason for hip in hips if hip.reason is not None]
    code = min((reason.code for reason in reasons), key=TELLING.index)
    texts = dict.fromkeys(reason.text for reason in reasons)
    return Reason(code, " ".join(texts))


def _rejected(
    series: Series,
    reason: Reason,
    checks: tuple[Check, ...],
    watch: Stopwatch,
    hips: tuple[Hip, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Rejected:
    return Rejected(
        series_instance_uid=series.series_instance_uid,
        reason=reason,
        orientation=series.orientation,
        hips=hips,
        timings_ms=watch.timings_ms,
        warnings=warnings,
        checks=checks,
    )
