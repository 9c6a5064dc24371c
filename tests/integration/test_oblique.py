"""Covered: oblique series of a simulated pelvis have the heads at the same positions, in both
planes, with loader and finder. Not covered: the grid that the loader makes (test_load_oblique),
accuracy of the finder (tests/bench)."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.ct_volume import AXIAL, CORONAL, Point
from tests.support.oblique import rotation, write_turned
from training.simulate.acquisition import sample_acquisition
from training.simulate.scanner import render_volume
from training.simulate.subject import sample_subject
from training.simulate.truth import truth
from worker.pipeline import load, select
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.rules import first_failure
from worker.pipeline.volume import PointMm, Series, Side, Volume

pytestmark = pytest.mark.slow

PLANES: dict[str, tuple[Point, Point]] = {"axial": AXIAL, "coronal": CORONAL}
NEAR_MM = 3.0
STEPS_MM = {"axial": 2.5, "coronal": 3.0}


@pytest.fixture(scope="module")
def pelvis() -> tuple[Volume, dict[Side, PointMm]]:
    """A pelvis in fine slices, and the true centers of its heads."""
    rng = np.random.default_rng(11)
    person = sample_subject(rng, grade="normal", condition="none")
    acquisition = sample_acquisition(
        rng, person, "axial", "pelvis", rows=320, columns=320, pixel_mm=1.25,
        thickness_mm=1.5, increment_mm=1.5, kernel="standard", kvp=120,
    )  # fmt: skip
    heads = {hip.side: hip.center_mm for hip in truth(person)}
    return render_volume(person, acquisition), heads


@pytest.mark.parametrize(("axis", "degrees"), [(0, -18), (1, 12), (2, 5), (2, 18)])
@pytest.mark.parametrize("plane", PLANES)
def test_heads_are_found_in_oblique_slices(
    pelvis: tuple[Volume, dict[Side, PointMm]],
    plane: str,
    axis: int,
    degrees: float,
    tmp_path: Path,
) -> None:
    volume, heads = pelvis
    turn = rotation(axis, degrees)
    paths = write_turned(
        volume, tmp_path, PLANES[plane], turn, step_mm=STEPS_MM[plane], pixel_mm=1.25
    )
    series = load.read_series(paths)
    assert isinstance(series, Series)
    assert first_failure(eligibility.check_series(series)) is None
    turned = load.read_volume(series)
    assert isinstance(turned, Volume)

    found = {femur.side: femur.center_mm for femur in select.find_femurs(turned)}

    assert set(found) == set(heads)
    for side, head in heads.items():
        assert np.linalg.norm(np.subtract(found[side], head)) < NEAR_MM
