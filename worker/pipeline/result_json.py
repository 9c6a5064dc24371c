"""One entry of ``result.json``: its keys are a public contract."""

from collections.abc import Iterable, Mapping
from typing import Any

from worker.pipeline.eligible import HIP_REQUIRES, SERIES_REQUIRES
from worker.pipeline.results import (
    Check,
    Hip,
    NeckAttenuation,
    Plane,
    PointMm,
    Reason,
    Rejected,
    Screening,
)

NO_OUTPUTS: Mapping[str, str | None] = {"sr": None, "sc": None, "png": None}


def to_json(
    result: Screening | Rejected, outputs: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    """One entry of ``result.json``; the keys are a public contract."""
    if isinstance(result, Rejected):
        return {
            "series_uid": result.series_instance_uid,
            "state": "rejected",
            "reason": _reason(result.reason),
            "orientation": result.orientation,
            "slice": None,
            "hips": [_hip(hip) for hip in result.hips],
            "grade": None,
            "model": None,
            "warnings": list(result.warnings),
            "checks": _checks(SERIES_REQUIRES, result.checks),
            "timings_ms": dict(result.timings_ms),
            "outputs": dict(NO_OUTPUTS),
        }
    return {
        "series_uid": result.series_instance_uid,
        "state": "screened",
        "reason": None,
        "orientation": result.orientation,
        "slice": _slice(result.deciding_hip.plane if result.deciding_hip else None),
        "hips": [_hip(hip) for hip in result.hips],
        "grade": None if result.grade is None else result.grade.value,
        "model": {
            "name": result.model.name,
            "version": result.model.version,
            "modality": result.model.modality,
            "training_data": result.model.training_data,
        },
        "warnings": list(result.warnings),
        "checks": _checks(SERIES_REQUIRES, result.checks),
        "timings_ms": dict(result.timings_ms),
        "outputs": dict(outputs or NO_OUTPUTS),
    }


def _reason(reason: Reason | None) -> dict[str, str] | None:
    return None if reason is None else {"code": reason.code.value, "text": reason.text}


def _point(point: PointMm) -> list[float]:
    return [round(float(value), 2) for value in point]


def _slice(plane: Plane | None) -> dict[str, Any] | None:
    if plane is None:
        return None
    return {
        "index": plane.index,
        "source_sop_uid": plane.source_sop_uid,
        "position_mm": _point(plane.position_mm),
    }


def _hip(hip: Hip) -> dict[str, Any]:
    crop, femur = hip.crop, hip.femur
    return {
        "side": hip.side,
        "state": hip.state,
        "reason": _reason(hip.reason),
        "center_mm": _point(femur.center_mm) if femur else None,
        "neck_mm": _point(femur.neck_mm) if femur else None,
        "slice": _slice(hip.plane),
        "crop": None
        if crop is None
        else {
            "row": round(crop.row, 2),
            "col": round(crop.col, 2),
            "size_px": crop.size_px,
            "pixel_mm": crop.pixel_mm,
        },
        "neck_hu": round(hip.neck.mean_hu, 1)
        if isinstance(hip.neck, NeckAttenuation)
        else None,
        "probabilities": None
        if hip.probabilities is None
        else {grade.value: round(p, 4) for grade, p in hip.probabilities.items()},
        "grade": None if hip.grade is None else hip.grade.value,
        "checks": _checks(HIP_REQUIRES, hip.checks),
    }


def _checks(required: Mapping[str, str], asked: Iterable[Check]) -> list[dict[str, str | None]]:
    """All rules in their order; behind one that is broken they are not reached."""
    found = {check.rule: check for check in asked}
    return [_check(rule, requires, found.get(rule)) for rule, requires in required.items()]


def _check(rule: str, requires: str, check: Check | None) -> dict[str, str | None]:
    if check is None:
        state, code, text = "not_reached", None, None
    elif check.code is None:
        state, code, text = "passed", None, check.text
    else:
        state, code, text = "failed", check.code.value, check.text
    return {"rule": rule, "requires": requires, "state": state, "code": code, "found": text}
