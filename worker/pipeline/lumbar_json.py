"""Measurements of the lumbar spine as JSON values."""

from collections.abc import Iterable
from typing import Any

from worker.pipeline.lumbar_results import (
    Conditions,
    LimitReading,
    LumbarMeasurement,
    LumbarMeasurements,
    NotMeasured,
)
from worker.pipeline.spine.validity import is_voltage
from worker.pipeline.volume import PointMm

VOLTAGE_KV = 120.0


def measurements_json(lumbar: LumbarMeasurements | None) -> list[dict[str, Any]]:
    """Return one entry for each vertebra; the keys are a public contract."""
    if lumbar is None:
        return []
    return [_measurement(one, lumbar.conditions) for one in lumbar.measurements]


def _measurement(one: LumbarMeasurement, conditions: Conditions) -> dict[str, Any]:
    region = one.vertebra.region
    entry: dict[str, Any] = {
        "site": one.vertebra.level,
        "side": None,
        "level_certain": True,
        "reason": None,
        "mean_hu": None,
        "sd_hu": None,
        "area_mm2": None,
        "center_mm": None,
        "outline_mm": None,
        "hu_120kvp": None,
        "limits": [_limit(limit) for limit in one.limits],
    }
    if isinstance(region, NotMeasured):
        return {**entry, "reason": {"code": region.name, "text": region.value}}
    mean_hu = round(region.mean_hu, 1)
    return {
        **entry,
        "mean_hu": mean_hu,
        "sd_hu": round(region.sd_hu, 1),
        "area_mm2": round(region.area_mm2, 1),
        "center_mm": _point(region.center_mm),
        "outline_mm": [_point(vertex) for vertex in region.outline_mm],
        # Values of other voltages are not converted yet.
        "hu_120kvp": mean_hu if is_voltage(conditions, VOLTAGE_KV) else None,
    }


def _limit(limit: LimitReading) -> dict[str, Any]:
    return {
        "source": limit.source,
        "reading": limit.reading,
        "holds": limit.holds,
        "why_not": limit.why_not,
    }


def spine_json(lumbar: LumbarMeasurements | None) -> dict[str, Any] | None:
    """Return how levels were found, or why not, and how the series was acquired."""
    if lumbar is None:
        return None
    conditions = lumbar.conditions
    return {
        "text": lumbar.text,
        "kvp": conditions.kvp,
        "thickness_mm": conditions.thickness_mm,
        "kernel": conditions.kernel,
        "phase": conditions.phase,
        "aorta_hu": None if conditions.aorta_hu is None else round(conditions.aorta_hu, 1),
    }


def first_measured(found: Iterable[LumbarMeasurements | None]) -> LumbarMeasurements | None:
    """Return the first with measurements; without one, the first that was reached."""
    reached = [one for one in found if one is not None]
    return next((one for one in reached if one.measurements), next(iter(reached), None))


def _point(point: PointMm) -> list[float]:
    return [round(value, 2) for value in point]
