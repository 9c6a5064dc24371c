"""The finder on real CT without a hip, and with a hip that is hard to find.

Covered: hearts and vessels full of contrast medium, as they are, mirrored and cropped; heads
that end above their necks; flexed thighs in a narrow field of view. Not covered: grades (no
patient of the folder has a DXA result).
"""

from pathlib import Path

import numpy as np
import pytest

from tests.support.real_ct import FOLDER, RealCt, realct
from worker.pipeline import select
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.rules import first_failure
from worker.pipeline.volume import Side, Volume

pytestmark = [*realct, pytest.mark.slow]

PLANES = (("coronal", "4"), ("axial", "3"))
FINE = (("coronal", "2"), ("axial", "1"))
SIDES: tuple[Side, Side] = ("R", "L")


@pytest.fixture(scope="module")
def real_ct() -> RealCt:
    return RealCt(FOLDER)


def read(ct: RealCt, case: str, out: Path, plane: str, thickness: str) -> Volume:
    return ct.volume(case, out, "--plane", plane, "--thickness", thickness)


def mirrored(volume: Volume) -> Volume:
    return Volume(np.ascontiguousarray(volume.hu[:, :, ::-1]), volume.affine)


def lower_half(volume: Volume) -> Volume:
    """Return the lower half of a volume, with a quarter cut off at its right side."""
    _, rows, columns = (n // 2 for n in volume.hu.shape)
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_mm((0, rows, columns // 2))
    return Volume(np.ascontiguousarray(volume.hu[:, rows:, columns // 2 :]), affine)


@pytest.mark.parametrize(("plane", "thickness"), PLANES)
@pytest.mark.parametrize("case", ["chest_arterial", "chest_dense_contrast"])
def test_chest_full_of_contrast_medium_has_no_hip_and_no_metal(
    real_ct: RealCt, case: str, plane: str, thickness: str, tmp_path: Path
) -> None:
    whole = read(real_ct, case, tmp_path, plane, thickness)

    for volume in (whole, mirrored(whole), lower_half(whole)):
        assert select.find_femurs(volume) == ()
        for side in SIDES:
            reason = first_failure(eligibility.missing_hip(volume, side, ()))
            assert reason is not None
            assert reason.code is ReasonCode.NO_FEMUR


@pytest.mark.parametrize(("plane", "thickness"), PLANES)
def test_heads_at_the_end_of_an_abdomen_are_not_graded(
    real_ct: RealCt, plane: str, thickness: str, tmp_path: Path
) -> None:
    volume = read(real_ct, "abdomen_lumbar_spine", tmp_path, plane, thickness)

    for femur in select.find_femurs(volume):
        assert first_failure(eligibility.check_hip(volume, femur)) is not None


@pytest.mark.parametrize(("plane", "thickness"), [("coronal", "3"), *FINE, ("axial", "3")])
@pytest.mark.parametrize("case", ["STS_040", "STS_044"])
def test_flexed_hip_in_a_narrow_field_of_view_is_found(
    real_ct: RealCt, case: str, plane: str, thickness: str, tmp_path: Path
) -> None:
    volume = read(real_ct, case, tmp_path, plane, thickness)

    (femur,) = select.find_femurs(volume)

    assert femur.side == "R"
    assert first_failure(eligibility.check_hip(volume, femur)) is None
    assert np.linalg.norm(np.subtract(femur.center_mm, real_ct.heads_mm(case)["R"])) < 3
