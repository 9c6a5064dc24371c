"""Covered: the aorta beside the spine, and the contrast phase that it shows.

Not covered: real CT (tests/integration/test_spine_real_ct.py).
"""

import numpy as np
import pytest

from tests.support.ct_volume import ct_headers, sorted_series
from tests.support.spine_phantom import FAT, SpinePhantom, build_volume
from worker.pipeline.spine.measure import measure_spine
from worker.pipeline.spine.validity import conditions_of
from worker.pipeline.volume import Volume

# From the canal, mm: left, behind.
MIDDLE = (12.0, -58.0)
RADIUS_MM, FAT_MM = 10.0, 24.0


def spine_with_aorta(hu: float, length_mm: float = 1000.0, *, fat: bool = True) -> Volume:
    """Return a phantom with a tube of an attenuation in fat, from its upper end down."""
    volume = build_volume(SpinePhantom((3.0, 3.0, 3.0)))
    places = volume.to_mm(np.moveaxis(np.indices(volume.hu.shape), 0, -1))
    radius = np.hypot(places[..., 0] - MIDDLE[0], places[..., 1] - MIDDLE[1])
    noise = np.random.default_rng(2).normal(0, 10, volume.hu.shape)
    in_front = places[..., 1] < -45.0
    if fat:
        volume.hu[(radius < FAT_MM) & in_front] = FAT
    tube = (radius < RADIUS_MM) & (places[..., 2] > -length_mm)
    volume.hu[tube] = np.rint(hu + noise[tube]).astype(np.int16)
    return volume


@pytest.mark.parametrize("hu", [40.0, 150.0, 320.0])
def test_attenuation_of_a_tube_in_fat(hu: float) -> None:
    assert measure_spine(spine_with_aorta(hu)).aorta_hu == pytest.approx(hu, abs=4)


def test_a_short_tube_is_no_aorta() -> None:
    assert measure_spine(spine_with_aorta(320.0, length_mm=45.0, fat=False)).aorta_hu is None


def test_blood_beside_muscle_is_not_seen() -> None:
    assert measure_spine(spine_with_aorta(45.0, fat=False)).aorta_hu is None


@pytest.mark.parametrize(
    ("kvp", "aorta_hu", "description", "phase"),
    [
        (120, 320.0, "Abdomen", "arterial"),
        (120, 320.0, "Abdomen portal venous", "arterial"),
        (100, 320.0, "Abdomen", "unknown"),
        (None, 320.0, "Abdomen", "unknown"),
        (120, 40.0, "Abdomen", "none"),
        (120, 40.0, "Abdomen arterial", "arterial"),
        (120, 150.0, "Abdomen", "unknown"),
        (120, 150.0, "Abdomen delayed", "late"),
        (120, None, "Abdomen portal venous", "portal"),
    ],
)
def test_phase(kvp: float | None, aorta_hu: float | None, description: str, phase: str) -> None:
    series = sorted_series(ct_headers(12, KVP=kvp, SeriesDescription=description))

    found = conditions_of(series, aorta_hu)

    assert (found.phase, found.aorta_hu) == (phase, aorta_hu)
