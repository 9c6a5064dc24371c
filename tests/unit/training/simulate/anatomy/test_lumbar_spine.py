"""Spine of the simulator: names of levels, closed canal, attenuation, variants.

Not covered: what the worker measures in it (``test_spine_simulated``).
"""

from dataclasses import replace

import numpy as np
import pytest

from training.simulate.anatomy.lumbar_spine import (
    CANAL,
    lumbar_parts,
    trabecular_hu,
    vertebra_part,
    vertebrae,
)
from training.simulate.geometry.painting import paint
from training.simulate.geometry.shapes import Grid
from training.simulate.lumbar import SpineSubject, sample_lumbar, sample_spine_subject


def subject(**lumbar: object) -> SpineSubject:
    usual = {"lumbar": 5, "sacralized": False, "height_shares": (1.0,) * 10}
    return sample_spine_subject(np.random.default_rng(4), lumbar=usual | lumbar)


def grid_around(center: np.ndarray, half: tuple[float, float, float]) -> Grid:
    """Return an open grid of 1 mm around a point, half its size along x, y and z."""
    x, y, z = (
        (middle + np.arange(-size, size + 0.5)).astype(np.float32)
        for middle, size in zip(center.tolist(), half, strict=True)
    )
    return x[None, None, :], y[None, :, None], z[:, None, None]


@pytest.mark.parametrize(
    ("count", "names"),
    [
        (4, ("L4", "L3", "L2", "L1", "T12")),
        (5, ("L5", "L4", "L3", "L2", "L1")),
        (6, ("L6", "L5", "L4", "L3", "L2")),
    ],
)
def test_levels_are_counted_from_the_last_rib(count: int, names: tuple[str, ...]) -> None:
    spine = vertebrae(subject(lumbar=count))

    assert tuple(vertebra.level for vertebra in spine[:5]) == names
    heights = [float(vertebra.frame.origin[2]) for vertebra in spine]
    assert heights == sorted(heights)


def test_the_canal_is_soft_and_has_bone_around_it_at_the_pedicles() -> None:
    patient = subject()
    l3 = vertebrae(patient)[2]
    center = l3.frame.place((0.0, CANAL * l3.scale, 5.0 * l3.scale))
    grid = grid_around(center, (30.0, 20.0, 0.0))
    canvas = np.full(np.broadcast_shapes(*(axis.shape for axis in grid)), 50.0, np.float32)

    paint(canvas, grid, lumbar_parts(patient, 120), 1.0)

    middle = canvas[0, 20, 30]
    assert middle == pytest.approx(28.0, abs=2.0)
    beyond = {
        "left": canvas[0, 20, 30:55],
        "right": canvas[0, 20, 30:5:-1],
        "front": canvas[0, 20:0:-1, 30],
        "behind": canvas[0, 20:, 30],
    }
    for side, ray in beyond.items():
        assert ray.max() > 250, side


def test_the_body_has_the_stated_attenuation() -> None:
    patient = subject()
    l2 = vertebrae(patient)[3]
    grid = grid_around(l2.frame.origin, (8.0, 4.0, 4.0))

    share, hu = vertebra_part(patient, l2, 100).paint(grid, 1.0)

    assert np.all(share == 1)
    # The grain of the trabecular bone has a mean of 0 over more than this region.
    assert np.mean(hu) == pytest.approx(trabecular_hu(patient, l2, 100), rel=0.1)


def test_ribs_end_where_the_anatomy_says() -> None:
    def reach(last_rib_mm: float) -> float:
        patient = subject(last_rib_mm=last_rib_mm)
        t12 = vertebrae(patient)[5]
        grid = grid_around(t12.frame.origin, (110.0, 60.0, 30.0))
        found = np.zeros(np.broadcast_shapes(*(axis.shape for axis in grid)), bool)
        rib = lumbar_parts(patient, 120)[-4]
        share = np.asarray(rib.paint(grid, 1.0)[0])
        found |= share > 0.5
        x = t12.frame.local(grid)[0]
        return float(np.abs(np.broadcast_to(x, found.shape)[found]).max()) / t12.scale

    assert reach(85.0) == pytest.approx(85.0, abs=2.0)
    assert reach(45.0) == pytest.approx(45.0, abs=2.0)


def test_only_a_usual_spine_is_countable() -> None:
    usual = sample_lumbar(np.random.default_rng(0))
    usual = replace(usual, lumbar=5, sacralized=False, last_rib_mm=85.0)

    assert usual.countable
    assert not replace(usual, lumbar=6).countable
    assert not replace(usual, sacralized=True).countable
    assert not replace(usual, last_rib_mm=40.0).countable


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(TypeError):
        sample_spine_subject(np.random.default_rng(0), lumbar={"cervical": 7})
