"""Entries of ``result.json``."""

from collections.abc import Iterable, Mapping
from typing import Any

from worker.pipeline import statements
from worker.pipeline.image_numbers import image_of
from worker.pipeline.lumbar_json import measurements_json, spine_json
from worker.pipeline.reasons import Check, Reason
from worker.pipeline.results import (
    MEASUREMENT,
    NECK_METHOD,
    Hip,
    ModelInfo,
    NeckAttenuation,
    Rejected,
    Screening,
)
from worker.pipeline.validation.eligibility import HIP_REQUIRES, SERIES_REQUIRES
from worker.pipeline.volume import PointMm

NO_OUTPUTS: Mapping[str, str | None] = {"sr": None, "sc": None, "png": None}


def to_json(
    result: Screening | Rejected, outputs: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    """Return one entry of ``result.json``; its keys are a public contract."""
    if isinstance(result, Rejected):
        return {
            "series_uid": result.series_instance_uid,
            "state": "rejected",
            "reason": reason_json(result.reason),
            "orientation": result.orientation,
            "slice": None,
            "hips": [hip_json(hip) for hip in result.hips],
            "grade": None,
            "measurements": measurements_json(result.lumbar),
            "spine": spine_json(result.lumbar),
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
        "slice": _deciding_slice(result),
        "hips": [hip_json(hip, result) for hip in result.hips],
        "grade": None if result.grade is None else result.grade.value,
        "measurements": measurements_json(result.lumbar),
        "spine": spine_json(result.lumbar),
        "model": None if result.model == MEASUREMENT else model_json(result.model),
        "warnings": list(result.warnings),
        "checks": _checks(SERIES_REQUIRES, result.checks),
        "timings_ms": dict(result.timings_ms),
        "outputs": dict(outputs or NO_OUTPUTS),
    }


def model_json(model: ModelInfo) -> dict[str, str | bool]:
    """Return the identity of a model as JSON values."""
    return {
        "name": model.name,
        "version": model.version,
        "modality": model.modality,
        "training_data": model.training_data,
        "simulated": model.simulated,
    }


def reason_json(reason: Reason | None) -> dict[str, str] | None:
    """Return a reason as JSON values."""
    return None if reason is None else {"code": reason.code.value, "text": reason.text}


def _point(point: PointMm) -> list[float]:
    return [round(float(value), 2) for value in point]


def _deciding_slice(result: Screening) -> dict[str, Any] | None:
    hip = result.deciding_hip
    return None if hip is None else _slice(hip, result)


def _slice(hip: Hip, result: Screening | None) -> dict[str, Any] | None:
    """Return the plane of a hip; ``name`` is what picture and report call it."""
    plane = hip.plane
    if plane is None:
        return None
    return {
        "index": plane.index,
        "image": None if result is None else image_of(result, hip),
        "name": None if result is None else statements.name_with_neck(result, hip),
        "source_sop_uid": plane.source_sop_uid,
        "position_mm": _point(plane.position_mm),
    }


def hip_json(hip: Hip, result: Screening | None = None) -> dict[str, Any]:
    """Return one hip as JSON values. ``result`` : that of the hip, None where there is none."""
    crop, femur = hip.crop, hip.femur
    return {
        "side": hip.side,
        "state": hip.state,
        "reason": reason_json(hip.reason),
        "center_mm": _point(femur.center_mm) if femur else None,
        "neck_mm": _point(femur.neck_mm) if femur else None,
        "slice": _slice(hip, result),
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
        "neck_method": NECK_METHOD if isinstance(hip.neck, NeckAttenuation) else None,
        "probabilities": None
        if hip.probabilities is None
        else {grade.value: round(p, 4) for grade, p in hip.probabilities.items()},
        "grade": None if hip.grade is None else hip.grade.value,
        "checks": _checks(HIP_REQUIRES, hip.checks),
    }


def _checks(
    required: Mapping[str, str], checks: Iterable[Check]
) -> list[dict[str, str | None]]:
    """Return all rules in order; those after a failed one are ``not_reached``."""
    found = {check.rule: check for check in checks}
    return [_check(rule, requires, found.get(rule)) for rule, requires in required.items()]


def _check(rule: str, requires: str, check: Check | None) -> dict[str, str | None]:
    if check is None:
        state, code, text = "not_reached", None, None
    elif check.code is None:
        state, code, text = "passed", None, check.text
    else:
        state, code, text = "failed", check.code.value, check.text
    return {"rule": rule, "requires": requires, "state": state, "code": code, "found": text}
