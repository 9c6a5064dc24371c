"""Entries of ``study.json``, and those of ``result.json`` for the series of a study."""

from collections.abc import Mapping
from typing import Any

from worker.pipeline.lumbar_json import first_measured, measurements_json, spine_json
from worker.pipeline.reasons import Reason
from worker.pipeline.result_json import hip_json, model_json, reason_json, to_json
from worker.pipeline.results import MEASUREMENT, Rejected, Screening
from worker.pipeline.screen_study import SeriesOutcome, StudyScreening

Outputs = Mapping[str, str | None]
FAILED = "FAILED"
"""Code of a series that could not be screened; not a reason against it."""


def study_json(
    study_instance_uid: str, study: StudyScreening, outputs: Outputs | None = None
) -> dict[str, Any]:
    """Return one entry of ``study.json``; its keys are a public contract."""
    result, files = study.result, outputs or {}
    of_series = (one.result.lumbar for one in study.series if one.result is not None)
    lumbar = first_measured([None if result is None else result.lumbar, *of_series])
    return {
        "study_uid": study_instance_uid,
        "state": study.state,
        "reason": reason_json(study.reason),
        "series": [_outcome_json(one) for one in study.series],
        "hips": [
            {"series_uid": hip.series_instance_uid, **hip_json(hip, result)}
            for hip in study.hips
        ],
        "grade": result.grade.value if result is not None and result.grade else None,
        "measurements": measurements_json(lumbar),
        "spine": spine_json(lumbar),
        "model": None
        if result is None or result.model == MEASUREMENT
        else model_json(result.model),
        "warnings": [] if result is None else list(result.warnings),
        "outputs": {
            "sr": files.get("sr"),
            "sc": [path for role in ("sc", "overlay") if (path := files.get(role))],
        },
    }


def series_json(one: SeriesOutcome, outputs: Outputs | None = None) -> dict[str, Any] | None:
    """Return the entry of ``result.json`` of one series, None where it failed.

    A series that is not used has no grade there, so that no reader takes it for the result.
    """
    if one.state == "screened" and one.result is not None:
        return to_json(one.result, outputs)
    if one.state == "rejected" and isinstance(one.result, Rejected):
        return to_json(one.result)
    if one.reason is None:
        return None
    return {**to_json(_not_used(one, one.reason)), "state": one.state}


def _not_used(one: SeriesOutcome, reason: Reason) -> Rejected:
    """Return a series without its own result, with the rules that were applied to it."""
    facts, own = one.ranked.facts, one.result
    return Rejected(
        one.series_instance_uid,
        reason,
        facts.orientation,
        timings_ms=own.timings_ms if own is not None else {},
        checks=own.checks if isinstance(own, Screening) else facts.checks,
        lumbar=own.lumbar if own is not None else None,
    )


def _outcome_json(one: SeriesOutcome) -> dict[str, Any]:
    reason = reason_json(one.reason)
    if one.error is not None:
        reason = {"code": FAILED, "text": one.error}
    return {
        "series_uid": one.series_instance_uid,
        "rank": one.ranked.rank,
        "state": one.state,
        "reason": reason,
    }
