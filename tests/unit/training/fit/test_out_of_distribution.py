"""The score that separates hips from displaced crops. Not covered: real CT (decision 0041)."""

import numpy as np
import pytest

from training.fit.out_of_distribution import DISPLACED_PX, displaced, fit_discriminant


def features(count: int, seed: int, offset: float) -> np.ndarray:
    """Return features of which two directions tell two kinds apart, beside a larger spread."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 12)) * np.array([20.0, 8.0, *np.ones(9), 0.0])
    values[:, 4:6] += offset
    return values


def test_displaced_crops_hold_the_same_pixels_elsewhere() -> None:
    crops = np.zeros((40, 250, 250), np.float16)
    crops[:, 120:130, 120:130] = 200

    moved = displaced(crops, np.random.default_rng(1))

    assert moved.dtype == crops.dtype
    np.testing.assert_array_equal(np.sort(moved.ravel()), np.sort(crops.ravel()))
    nearest, farthest = DISPLACED_PX
    for picture in moved:
        rows, columns = np.nonzero(picture)
        distance = np.hypot(rows.mean() - 124.5, columns.mean() - 124.5)
        assert nearest - 1 < distance < farthest + 1


def test_score_refuses_displaced_crops_and_accepts_hips() -> None:
    score = fit_discriminant(*(features(400, i, o) for i, o in enumerate((0, 4, 0, 4))))

    hips, others = features(500, 8, 0.0), features(500, 9, 4.0)
    assert np.mean(score.distance(hips) <= score.limit) > 0.98
    assert np.mean(score.distance(others) > score.limit) > 0.98
    assert score.distance(hips).mean() < 0.6
    assert score.distance(others).mean() == pytest.approx(2, abs=0.2)


def test_what_is_beyond_the_displaced_crops_is_farther() -> None:
    score = fit_discriminant(*(features(400, i, o) for i, o in enumerate((0, 4, 0, 4))))

    near, far = (score.distance(features(50, 3, offset)) for offset in (4.0, 12.0))

    assert far.min() > near.max()
