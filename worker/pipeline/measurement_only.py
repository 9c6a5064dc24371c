"""Reasons where no model is installed (``MODEL_DIR=none``): hips are measured, not graded."""

from collections.abc import Sequence

from worker.pipeline import wording
from worker.pipeline.lumbar_results import LumbarMeasurements
from worker.pipeline.lumbar_statements import uncertain_line
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import Hip, NeckAttenuation, NeckNotMeasured
from worker.pipeline.volume import Side


def no_model(neck: NeckAttenuation | NeckNotMeasured) -> Reason:
    """Return the reason of a hip, with the attenuation of its neck."""
    return Reason(ReasonCode.NO_MODEL, f"{wording.NO_MODEL}. {_neck(neck)}")


def nothing_to_report(hips: Sequence[Hip], lumbar: LumbarMeasurements) -> Reason:
    """Return the reason of a series that shows a hip and has no vertebra of a certain level.

    Vertebrae of uncertain levels make no report either: no limit can be read with them. The
    attenuation of the necks alone makes no report: no limit of it is used.
    """
    necks = (_at_hip(hip.side, _neck(hip.neck)) for hip in hips if hip.neck is not None)
    found = uncertain_line(lumbar)
    spine = (
        (f"{wording.NO_MODEL}.", found) if found else (wording.NO_MODEL_NO_SPINE, lumbar.text)
    )
    sentences = (*spine, *necks)
    return Reason(ReasonCode.NO_MODEL, " ".join(filter(None, sentences)))


def is_measured_hip(hip: Hip) -> bool:
    """Return whether a hip has no grade only because no model is installed."""
    return hip.reason is not None and hip.reason.code is ReasonCode.NO_MODEL


def _at_hip(side: Side, words: str) -> str:
    return f"{wording.SIDE_WORDS[side].capitalize()} hip: {words[:1].lower()}{words[1:]}"


def _neck(neck: NeckAttenuation | NeckNotMeasured) -> str:
    if isinstance(neck, NeckNotMeasured):
        return wording.NECK_NOT_MEASURED.format(reason=neck.text)
    return wording.NECK_VALUE.format(mean=f"{neck.mean_hu:.0f}", sd=f"{neck.sd_hu:.0f}")
