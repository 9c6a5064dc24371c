"""Covered: one, several and one frame of reference for each slice."""

from collections.abc import Callable

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from tests.support.ct_volume import ct_headers, sorted_series
from tests.support.rule_results import rejection
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.frame_of_reference import (
    frame_of_reference_warning,
    several_frames_of_reference,
)
from worker.pipeline.validation.images import check_images
from worker.pipeline.validation.rules import first_failure


def headers(uid_of: Callable[[int], str]) -> list[Dataset]:
    found = ct_headers(20)
    for index, ds in enumerate(found):
        ds.FrameOfReferenceUID = uid_of(index)
    return found


def test_one_for_each_slice_is_accepted_with_a_warning() -> None:
    found = headers(lambda index: generate_uid())

    assert first_failure(check_images(found)) is None
    assert first_failure(eligibility.check_series(sorted_series(found))) is None
    assert frame_of_reference_warning(sorted_series(found)) == (
        "Frame of reference: every slice has its own UID. The slices were joined by their "
        "positions, which are even."
    )


def test_uneven_positions_without_a_common_frame_of_reference_are_gaps() -> None:
    found = headers(lambda index: generate_uid())
    del found[7:9]

    assert first_failure(check_images(found)) is None
    reason = first_failure(eligibility.check_series(sorted_series(found)))
    assert reason is not None
    assert reason.code is ReasonCode.GAPS


@pytest.mark.parametrize(
    ("uid_of", "count"),
    [
        (lambda index: f"1.2.{index // 10}", 2),
        (lambda index: f"1.2.{index % 2}", 2),
        (lambda index: f"1.2.{index // 2}", 10),
        (lambda index: "" if index else "1.2", 2),
    ],
)
def test_shared_frames_of_reference_are_mixed(uid_of: Callable[[int], str], count: int) -> None:
    assert several_frames_of_reference(headers(uid_of)) == Reason(
        ReasonCode.MIXED, f"The images belong to {count} frames of reference, not one."
    )


@pytest.mark.parametrize("uid", ["1.2.3", ""])
def test_one_for_all_or_none_has_no_warning(uid: str) -> None:
    found = headers(lambda index: uid)

    assert rejection(several_frames_of_reference(found)) is None
    assert frame_of_reference_warning(sorted_series(found)) is None
