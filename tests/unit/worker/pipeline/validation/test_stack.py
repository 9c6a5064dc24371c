"""Covered: slices that make no even stack, repeated positions included.
Not covered: single gaps and gantry tilt (test_eligibility)."""

import pytest

from tests.support.ct_volume import AXIAL, ct_headers, sorted_series
from tests.support.rule_results import rejection
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.validation import stack


def beside_by(deviation_mm: float) -> Reason:
    text = f"Slices lie up to {deviation_mm} mm beside the place that even steps give them."
    return Reason(ReasonCode.GAPS, text)


@pytest.mark.parametrize("phases", [2, 3])
@pytest.mark.covers("H4")
def test_several_images_at_each_position_are_mixed(phases: int) -> None:
    headers = [ds for _ in range(phases) for ds in ct_headers(12)]

    assert stack.repeated_positions(sorted_series(headers)) == Reason(
        ReasonCode.MIXED,
        f"Each position holds {phases} images: several phases, energies or reconstructions.",
    )


def test_second_phase_that_covers_half_of_the_positions_and_more_is_mixed() -> None:
    headers = ct_headers(12) + ct_headers(7)

    assert stack.repeated_positions(sorted_series(headers)) == Reason(
        ReasonCode.MIXED,
        "Each position holds 2 images: several phases, energies or reconstructions.",
    )


def test_one_stray_copy_and_an_even_series_are_not_mixed() -> None:
    assert rejection(stack.repeated_positions(sorted_series(ct_headers(12)))) is None
    assert (
        rejection(stack.repeated_positions(sorted_series(ct_headers(12) + ct_headers(1))))
        is None
    )


def test_slices_shifted_within_their_plane_are_not_one_stack() -> None:
    headers = ct_headers(30, directions=AXIAL)
    for ds in headers[10:20]:
        ds.ImagePositionPatient = [5.0, 0.0, ds.ImagePositionPatient[2]]

    assert stack.uneven_line(sorted_series(headers)) == beside_by(5.0)


def test_change_of_spacing_that_adds_up_is_found() -> None:
    """Each step alone differs by no more than rounding would make it."""
    headers = ct_headers(60, directions=AXIAL)
    for index, ds in enumerate(headers):
        ds.ImagePositionPatient = [0.0, 0.0, 2.5 * index + 0.4 * max(0, index - 30)]

    assert stack.uneven_line(sorted_series(headers)) == beside_by(5.9)


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_rounded_positions_are_straight_enough(decimals: int) -> None:
    headers = ct_headers(80, directions=AXIAL, step=(0, 0, 1.37), origin=(0.3, 0.3, 0.3))
    for ds in headers:
        ds.ImagePositionPatient = [round(float(v), decimals) for v in ds.ImagePositionPatient]

    assert rejection(stack.uneven_line(sorted_series(headers))) is None
