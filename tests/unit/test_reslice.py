"""Covered: thick slices of a volume are means of linear samples at the stated places."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from tests.support.reslice import resample

SPACING_MM = np.array([1.5, 0.8, 0.9])
ORIGIN_MM = np.array([-20.0, 30.0, -500.0])
THICKNESS_MM = 3.6


@pytest.mark.parametrize(
    ("plane", "through"), [("coronal", (0.0, 1.0, 0.0)), ("axial", (0.0, 0.0, 1.0))]
)
def test_slices_are_means_of_linear_samples(
    plane: str, through: tuple[float, float, float]
) -> None:
    volume = np.random.default_rng(1).normal(0, 300, (14, 22, 19)).astype(np.float32)

    slices, positions, orientation, locations = resample(
        volume, SPACING_MM, ORIGIN_MM, plane, 1.1, THICKNESS_MM, 2.5
    )

    assert len(slices) == len(positions) == len(locations) >= 3
    right, down = np.reshape(orientation, (2, 3))
    _, rows, columns = slices.shape
    for hu, position in zip(slices, positions, strict=True):
        across = np.arange(columns)[None, :, None] * 1.1 * right
        points_mm = position + across + np.arange(rows)[:, None, None] * 1.1 * down
        samples = [
            _sample(volume, points_mm + np.array(through) * offset_mm)
            for offset_mm in (-1.35, -0.45, 0.45, 1.35)
        ]
        assert hu == pytest.approx(np.mean(samples, axis=0), abs=0.01)


def _sample(volume: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    index = (points_mm - ORIGIN_MM)[..., ::-1] / SPACING_MM
    return map_coordinates(volume, np.moveaxis(index, -1, 0), order=1, mode="nearest")
