"""Measurements of the lumbar spine as JSON values."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from worker.pipeline.lumbar_results import (
    Conditions,
    LimitReading,
    LumbarMeasurement,
    LumbarMeasurements,
    NotMeasured,
    Region,
)
from worker.pipeline.lumbar_statements import uncertain_line
from worker.pipeline.spine.validity import is_voltage
from worker.pipeline.volume import PointMm

VOLTAGE_KV = 120.0


def measurements_json(lumbar: LumbarMeasurements | None) -> list[dict[str, Any]]:
    """Return one entry for each vertebra of a certain level; the keys are a public contract."""
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
    values = _region(region)
    return {
        **entry,
        **values,
        # Values of other voltages are not converted yet.
        "hu_120kvp": values["mean_hu"] if is_voltage(conditions, VOLTAGE_KV) else None,
    }


def _region(region: Region) -> dict[str, Any]:
    return {
        "mean_hu": round(region.mean_hu, 1),
        "sd_hu": round(region.sd_hu, 1),
        "area_mm2": round(region.area_mm2, 1),
        "center_mm": _point(region.center_mm),
        "outline_mm": [_point(vertex) for vertex in region.outline_mm],
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
        "median_hu": None if lumbar.median_hu is None else round(lumbar.median_hu, 1),
        "uncertain": _uncertain(lumbar),
        "kvp": conditions.kvp,
        "thickness_mm": conditions.thickness_mm,
        "kernel": conditions.kernel,
        "phase": conditions.phase,
        "aorta_hu": None if conditions.aorta_hu is None else round(conditions.aorta_hu, 1),
    }


def _uncertain(lumbar: LumbarMeasurements) -> dict[str, Any] | None:
    """Return vertebrae of uncertain levels: apart, so that no script takes one for L1."""
    if lumbar.uncertain is None:
        return None
    return {
        "text": uncertain_line(lumbar),
        "code": lumbar.uncertain.doubt.name,
        "median_hu": round(lumbar.uncertain.median_hu, 1),
        "vertebrae": [_region(region) for region in lumbar.uncertain.regions],
    }


def first_measured(found: Iterable[LumbarMeasurements | None]) -> LumbarMeasurements | None:
    """Return the first with measurements of certain levels, otherwise of uncertain ones.

    Without any, the first that was reached.
    """
    reached = [one for one in found if one is not None]
    certain = (one for one in reached if one.measurements)
    uncertain = (one for one in reached if one.uncertain is not None)
    return next(chain(certain, uncertain, reached), None)


def _point(point: PointMm) -> list[float]:
    return [round(value, 2) for value in point]
