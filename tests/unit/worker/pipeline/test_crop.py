"""Covered: window, position and scale of the crop, pixels outside the plane."""

import numpy as np
import pytest

from worker.pipeline import crop
from worker.pipeline.volume import Femur, Plane


def plane(hu: np.ndarray, row_mm: float = 0.8, column_mm: float = 0.8) -> Plane:
    return Plane(40, hu.astype(np.int16), (-200.0, 12.0, 150.0), row_mm, column_mm, None)


def femur_at(position: tuple[float, float, float]) -> Femur:
    x, y, z = position
    return Femur("R", (x + 18.0, y, z + 18.0), 23.0, position, 0.9)


@pytest.mark.parametrize(
    ("hu", "value"), [(-1024, 0), (-500, 0), (0, 63.75), (500, 127.5), (1500, 255), (3071, 255)]
)
@pytest.mark.covers("R8")
def test_window_is_that_of_the_paper(hu: float, value: float) -> None:
    """Ha 2024, Eq. 1, 2 and 4: center 500, width 2000, to 0–255, clipped."""
    scaled = crop.window(np.array([[hu]], np.int16))

    assert scaled.dtype == np.float32
    assert scaled[0, 0] == pytest.approx(value)


@pytest.mark.parametrize("pixel_mm", [0.6, 0.977, 1.2])
@pytest.mark.covers("R8")
def test_crop_is_244_mm_around_the_neck_at_any_pixel_size(pixel_mm: float) -> None:
    size = int(400 / pixel_mm)
    source = plane(np.zeros((size, size)), pixel_mm, pixel_mm)

    found = crop.crop_hip(source, femur_at((-100.0, 12.0, 30.0)))

    assert found.pixels.shape == (250, 250)
    assert found.pixel_mm == 500 / 512
    corners = np.array(found.corners_mm)
    np.testing.assert_allclose(corners.mean(axis=0), [-100.0, 12.0, 30.0], atol=1e-6)
    np.testing.assert_allclose(corners[1] - corners[0], [250 * 500 / 512, 0, 0], atol=1e-6)
    np.testing.assert_allclose(corners[2] - corners[1], [0, 0, -250 * 500 / 512], atol=1e-6)


@pytest.mark.parametrize(("row_mm", "column_mm"), [(0.6, 0.6), (1.2, 1.2), (0.9, 0.7)])
def test_a_point_keeps_its_place(row_mm: float, column_mm: float) -> None:
    """A blob at a known position in mm lies there by the corners of the crop."""
    rows, columns = np.mgrid[: int(400 / row_mm), : int(400 / column_mm)]
    x, z = -200 + columns * column_mm, 150 - rows * row_mm
    hu = 1000 * np.exp(-((x + 60) ** 2 + (z - 10) ** 2) / (2 * 6.0**2))

    found = crop.crop_hip(plane(hu, row_mm, column_mm), femur_at((-100.0, 12.0, 30.0)))

    row, column = np.unravel_index(found.pixels.argmax(), found.pixels.shape)
    top_left = np.array(found.corners_mm[0])
    place = top_left + np.array([column + 0.5, 0, -row - 0.5]) * found.pixel_mm
    np.testing.assert_allclose(place, [-60, 12, 10], atol=0.6)


def test_place_of_the_box_is_in_pixels_of_the_plane_from_its_outer_edge() -> None:
    source = plane(np.zeros((500, 500)))
    neck = source.to_mm((200, 240))

    found = crop.crop_hip(source, femur_at(tuple(neck)))

    half = 125 * 500 / 512 / 0.8
    assert found.row == pytest.approx(200.5 - half)
    assert found.col == pytest.approx(240.5 - half)


def test_outside_the_plane_is_air_and_inside_is_kept() -> None:
    source = plane(np.full((500, 500), 500))

    found = crop.crop_hip(source, femur_at((-200.0, 12.0, 150.0)))

    assert (found.pixels[:120] == 0).all()
    assert (found.pixels[:, :120] == 0).all()
    np.testing.assert_allclose(found.pixels[130:, 130:], 127.5, atol=0.01)


def test_reducing_does_not_alias() -> None:
    """Stripes of one 0.5 mm pixel become their mean, not a moiré."""
    hu = np.zeros((700, 700))
    hu[:, ::2] = 1000

    found = crop.crop_hip(plane(hu, 0.5, 0.5), femur_at((-30.0, 12.0, 0.0)))

    middle = found.pixels[60:190, 60:190]
    assert middle.mean() == pytest.approx(127.5, abs=1)
    assert middle.std() < 6


def test_oblique_plane_keeps_its_directions() -> None:
    turn = np.radians(12)
    along = (float(np.cos(turn)), float(np.sin(turn)), 0.0)
    source = Plane(
        3,
        np.zeros((400, 400), np.int16),
        (0.0, 0.0, 0.0),
        0.8,
        0.8,
        None,
        column_direction=along,
    )

    corners = np.array(crop.crop_hip(source, femur_at((100.0, 21.0, -120.0))).corners_mm)

    np.testing.assert_allclose(
        (corners[1] - corners[0]) / np.linalg.norm(corners[1] - corners[0]), along
    )
