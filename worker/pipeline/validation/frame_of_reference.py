"""Frames of reference of the slices of one series (PS3.3 C.7.4.1)."""

from collections.abc import Sequence

from pydicom import Dataset

from worker.pipeline.header_values import text_of
from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.volume import Series

# Share of the slices with a UID of their own from which on the UIDs say nothing: some
# programs for de-identification write a new one for each file. Two scans have two UIDs.
MIN_OWN_SHARE = 0.9


def several_frames_of_reference(headers: Sequence[Dataset]) -> RuleResult:
    """Require one frame of reference, or none that slices share.

    Where every slice has its own, ``stack`` decides by the positions whether they make one
    volume.
    """
    count = _count(headers)
    if count <= 1:
        return "One frame of reference."
    if _own_for_each(headers):
        return f"{count} frames of reference for {len(headers)} images: one for each."
    text = f"The images belong to {count} frames of reference, not one."
    return Reason(ReasonCode.MIXED, text)


def frame_of_reference_warning(series: Series) -> str | None:
    """Return a warning where the slices share no frame of reference."""
    if not _own_for_each(series.headers):
        return None
    return (
        "Frame of reference: every slice has its own UID. The slices were joined by their "
        "positions, which are even."
    )


def _own_for_each(headers: Sequence[Dataset]) -> bool:
    count = _count(headers)
    return count > 2 and count >= MIN_OWN_SHARE * len(headers)


def _count(headers: Sequence[Dataset]) -> int:
    return len({text_of(ds, "FrameOfReferenceUID") for ds in headers})
