"""Covered: bright vessels in front of a hip, and bright matter that is no vessel.
Not covered: real contrast phases."""

import pytest

from tests.support.ct_volume import ct_headers
from tests.support.hip_volume import LEFT, RIGHT, put, put_rod, soft_tissue
from worker.pipeline.contrast_warning import contrast_warning, enhanced, vessel_mm3
from worker.pipeline.volume import Femur, Series, Volume


def with_vessels(hu: float) -> Volume:
    """Return artery and vein of the right groin, 10 and 12 mm wide."""
    volume = soft_tissue()
    put_rod(volume, (-84, -46, 50), (-84, -46, -40), 5, hu)
    put_rod(volume, (-72, -44, 50), (-72, -44, -40), 6, hu)
    return volume


def test_vessels_of_the_portal_phase_are_seen() -> None:
    assert enhanced(with_vessels(150), [RIGHT, LEFT]) is True
    assert enhanced(with_vessels(130), [RIGHT]) is True


def test_plain_blood_is_not_enhanced() -> None:
    assert enhanced(with_vessels(42), [RIGHT, LEFT]) is False
    assert enhanced(with_vessels(150), [LEFT]) is False


def test_calcified_wall_is_no_enhancement() -> None:
    volume = with_vessels(42)
    put_rod(volume, (-84, -41, 20), (-84, -41, -10), 2, 1200)

    assert enhanced(volume, [RIGHT]) is False


def test_rim_of_bone_is_no_vessel() -> None:
    volume = soft_tissue()
    put_rod(volume, (-110, -40, 40), (-60, -50, 10), 9, 700)

    assert enhanced(volume, [RIGHT]) is False


def test_without_muscle_in_view_enhancement_is_unknown() -> None:
    volume = soft_tissue((-180, -24, -160))

    assert vessel_mm3(volume, RIGHT) is None
    assert enhanced(volume, [RIGHT]) is None
    assert enhanced(soft_tissue(), []) is None


def test_bright_bladder_beside_the_box_does_not_count() -> None:
    volume = soft_tissue()
    put(volume, (0.0, -20.0, 10.0), 40, 300)

    assert enhanced(volume, [RIGHT, LEFT]) is False


BLOOD, ENHANCED = 42, 150


@pytest.mark.parametrize(
    ("hu", "femurs", "agent", "words"),
    [
        (ENHANCED, (RIGHT,), None, None),
        (ENHANCED, (RIGHT,), "Omnipaque", None),
        (BLOOD, (), "Omnipaque", None),
        (BLOOD, (RIGHT,), None, "is not seen in the femoral vessels: the method"),
        (
            BLOOD,
            (RIGHT,),
            "Omnipaque",
            "is not seen in the femoral vessels, though the header names one: the method",
        ),
        (BLOOD, (), None, "is not named in the header: the method"),
        (BLOOD, (), "NONE", "is not named in the header: the method"),
    ],
)
def test_vessels_decide_before_the_header(
    hu: float, femurs: tuple[Femur, ...], agent: str | None, words: str | None
) -> None:
    series = Series("1.2", (), tuple(ct_headers(1, ContrastBolusAgent=agent)), "coronal")

    warning = contrast_warning(series, with_vessels(hu), femurs)

    if words is None:
        assert warning is None
    else:
        assert warning is not None
        assert warning.startswith(f"Contrast medium {words}")
