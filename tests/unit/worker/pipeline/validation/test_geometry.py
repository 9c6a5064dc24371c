"""Covered: stretched volumes, heads of impossible size or distance, too little body.
Not covered: the ratios in simulated and real CT (worker/pipeline/geometry)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tests.support.hip_volume import LEFT, RIGHT
from tests.support.rule_results import rejection
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.validation.geometry import implausible_geometry
from worker.pipeline.volume import Femur, Volume, to_point

VOXEL_MM = 4.0


def body(noise_hu: float = 0.0) -> Volume:
    """Return structures a little longer from head to foot than across, around two hips."""
    rng = np.random.default_rng(0)
    shape = (50, 60, 90)
    hu = ndimage.gaussian_filter(rng.normal(size=shape), np.array([12, 17, 11.5]) / VOXEL_MM)
    hu *= 100 / hu.std()
    hu += rng.normal(0, noise_hu, shape)
    affine = np.array([[0, 0, 1, -180], [1, 0, 0, -100], [0, -1, 0, 120], [0, 0, 0, 1.0]])
    affine[:3, :3] *= VOXEL_MM
    return Volume(np.rint(hu).astype(np.int16), affine)


def stretched(volume: Volume, x: float, y: float, z: float) -> Volume:
    """Return the volume with positions multiplied along the patient's axes."""
    return replace(volume, affine=np.diag([x, y, z, 1.0]) @ volume.affine)


def moved(femurs: Sequence[Femur], x: float, y: float, z: float) -> tuple[Femur, ...]:
    return tuple(
        replace(one, center_mm=to_point(np.array(one.center_mm) * (x, y, z))) for one in femurs
    )


@pytest.mark.parametrize("femurs", [(RIGHT, LEFT), (LEFT,), ()], ids=["both", "one", "none"])
@pytest.mark.parametrize("noise_hu", [0.0, 25.0])
def test_body_as_it_is_passes(femurs: tuple[Femur, ...], noise_hu: float) -> None:
    assert rejection(implausible_geometry(body(noise_hu), femurs)) is None


@pytest.mark.parametrize("femurs", [(RIGHT, LEFT), (LEFT,)], ids=["both", "one"])
@pytest.mark.parametrize(
    ("factors", "words"),
    [
        ((1, 1, 0.5), "across as from head to foot"),
        ((1, 1, 2), "across as from head to foot"),
        ((1, 0.6, 1), "from front to back as from right to left"),
        ((1, 1.67, 1), "from front to back as from right to left"),
    ],
    ids=["axial, half", "axial, twice", "coronal, 0.6", "coronal, 1.67"],
)
@pytest.mark.covers("H3")
def test_wrong_distance_of_slices_is_refused(
    factors: tuple[float, float, float], words: str, femurs: tuple[Femur, ...]
) -> None:
    volume = stretched(body(), *factors)
    reason = rejection(implausible_geometry(volume, moved(femurs, *factors)))

    assert reason is not None
    assert reason.code is ReasonCode.GAPS
    assert reason.text.startswith(
        "The geometry is not plausible: around the femoral heads the image changes "
    )
    assert words in reason.text


@pytest.mark.parametrize("factors", [(1, 1.12, 1), (1, 0.95, 1), (1, 1, 1.2), (1, 1, 0.85)])
@pytest.mark.parametrize("femurs", [(RIGHT, LEFT), (LEFT,), ()], ids=["both", "one", "none"])
def test_body_of_unusual_proportions_passes(
    factors: tuple[float, float, float], femurs: tuple[Femur, ...]
) -> None:
    volume = stretched(body(), *factors)

    assert rejection(implausible_geometry(volume, moved(femurs, *factors))) is None


@pytest.mark.parametrize("factors", [(1, 1, 0.5), (1, 0.6, 1), (2, 1, 1)])
def test_stretched_body_is_refused_where_no_femur_was_found(
    factors: tuple[float, float, float],
) -> None:
    reason = rejection(implausible_geometry(stretched(body(), *factors), ()))

    assert reason is not None
    assert reason.text.startswith("The geometry is not plausible: in the body ")


@pytest.mark.covers("H3")
def test_lost_pixel_spacing_is_refused_by_the_distance_of_the_heads() -> None:
    larger = 1 / 0.78
    apart = moved((replace(RIGHT, center_mm=(-86, 0, 0)), replace(LEFT, center_mm=(86, 0, 0))),
                  larger, larger, 1)  # fmt: skip
    reason = rejection(implausible_geometry(body(), apart))

    assert reason is not None
    assert reason.text == (
        "The geometry is not plausible: femoral heads 221 mm apart, 115 to 205 mm are expected."
    )


@pytest.mark.parametrize("radius_mm", [16.6, 30.5])
def test_head_of_no_adult_is_refused(radius_mm: float) -> None:
    reason = rejection(implausible_geometry(body(), (replace(LEFT, radius_mm=radius_mm),)))

    assert reason is not None
    assert f"a femoral head of {radius_mm:.0f} mm radius" in reason.text


def test_metal_and_gas_do_not_count() -> None:
    volume = body()
    volume.hu[20:30, 25:35, 60:70] = 3071
    volume.hu[:, :, :12] = -1000

    assert rejection(implausible_geometry(volume, (RIGHT, LEFT))) is None


def test_too_little_body_passes() -> None:
    volume = body()
    volume.hu[3:] = -1000
    result = implausible_geometry(volume, ())

    assert result == "Too little of the body in view to compare its proportions."


@pytest.mark.parametrize(("slices", "judged"), [(36, True), (30, False)])
def test_surface_of_a_body_without_a_femur_is_not_judged(slices: int, judged: bool) -> None:
    volume = stretched(body(), 1, 0.6, 1)
    volume.hu[slices:] = -1000

    assert (rejection(implausible_geometry(volume, ())) is not None) == judged
