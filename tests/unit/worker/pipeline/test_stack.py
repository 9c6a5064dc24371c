"""Covered: slices that make no even stack, repeated positions included.
Not covered: single gaps and gantry tilt (test_eligible)."""

import numpy as np
import pytest
from pydicom import Dataset

from tests.ct_volume import AXIAL, ct_headers
from tests.verdicts import against
from worker.pipeline import geometry, stack
from worker.pipeline.geometry import known
from worker.pipeline.results import ReasonCode, Series


def sorted_series(headers: list[Dataset]) -> Series:
    directions = known(geometry.directions_of(headers[0]))
    distances = known(geometry.distances_along(headers, geometry.normal_of(directions)))
    ordered = tuple(headers[i] for i in np.argsort(distances, kind="stable"))
    return Series("1.2", (), ordered, geometry.orientation_of(directions))


@pytest.mark.parametrize("phases", [2, 3])
def test_several_images_at_each_position_are_mixed(phases: int) -> None:
    headers = [ds for _ in range(phases) for ds in ct_headers(12)]

    reason = against(stack.repeated_positions(sorted_series(headers)))

    assert reason is not None
    assert reason.code is ReasonCode.MIXED
    assert f"{phases} images" in reason.text


def test_second_phase_that_covers_half_of_the_positions_and_more_is_mixed() -> None:
    headers = ct_headers(12) + ct_headers(7)

    assert against(stack.repeated_positions(sorted_series(headers))) is not None


def test_one_stray_copy_and_an_even_series_are_not_mixed() -> None:
    assert against(stack.repeated_positions(sorted_series(ct_headers(12)))) is None
    assert (
        against(stack.repeated_positions(sorted_series(ct_headers(12) + ct_headers(1)))) is None
    )


def test_slices_shifted_within_their_plane_are_not_one_stack() -> None:
    headers = ct_headers(30, directions=AXIAL)
    for ds in headers[10:20]:
        ds.ImagePositionPatient = [5.0, 0.0, ds.ImagePositionPatient[2]]

    reason = against(stack.crooked(sorted_series(headers)))

    assert reason is not None
    assert reason.code is ReasonCode.GAPS
    assert "5.0 mm" in reason.text


def test_change_of_spacing_that_adds_up_is_found() -> None:
    """Each step alone is within what rounding does."""
    headers = ct_headers(60, directions=AXIAL)
    for index, ds in enumerate(headers):
        ds.ImagePositionPatient = [0.0, 0.0, 2.5 * index + 0.4 * max(0, index - 30)]

    assert against(stack.crooked(sorted_series(headers))) is not None


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_rounded_positions_are_straight_enough(decimals: int) -> None:
    headers = ct_headers(80, directions=AXIAL, step=(0, 0, 1.37), origin=(0.3, 0.3, 0.3))
    for ds in headers:
        ds.ImagePositionPatient = [round(float(v), decimals) for v in ds.ImagePositionPatient]

    assert against(stack.crooked(sorted_series(headers))) is None
