"""The finder on real CT through DICOM files; ``OSTEOSCREEN_REALCT`` names the folder.

Covered: sides and centers of the heads in every plane, spacing, thickness and order; volumes
without a whole head; rotated patients, cropped pelves. Not covered: grades (no patient of the
folder has a DXA result).
"""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.support.oblique import rotation
from tests.support.real_ct import VARIANTS, RealCt
from worker.pipeline import reformat, select
from worker.pipeline.neck import neck_attenuation
from worker.pipeline.results import NeckAttenuation
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.rules import first_failure
from worker.pipeline.volume import Femur, Volume

# Read before the session fixture clears the settings of the caller.
FOLDER = os.environ.get("OSTEOSCREEN_REALCT")

pytestmark = [
    pytest.mark.realct,
    pytest.mark.skipif(not FOLDER, reason="OSTEOSCREEN_REALCT names no folder with real CT"),
]

COARSE_AND_FINE = (VARIANTS[1], VARIANTS[3], VARIANTS[4], VARIANTS[6])


@pytest.fixture(scope="module")
def real_ct() -> RealCt:
    assert FOLDER is not None
    return RealCt(Path(FOLDER))


def gradable(volume: Volume) -> dict[str, Femur]:
    femurs = select.find_femurs(volume)
    return {
        f.side: f for f in femurs if first_failure(eligibility.check_hip(volume, f)) is None
    }


@pytest.mark.parametrize("variant", VARIANTS, ids=" ".join)
@pytest.mark.parametrize("case", ["pelvis_two_hips", "STS_036"])
def test_heads_are_found_within_five_mm(
    real_ct: RealCt, case: str, variant: tuple[str, ...], tmp_path: Path
) -> None:
    volume = real_ct.volume(case, tmp_path, *variant)
    heads = real_ct.heads_mm(case)

    found = gradable(volume)

    assert set(found) == set(heads)
    for side, head in heads.items():
        assert np.linalg.norm(np.subtract(found[side].center_mm, head)) < 5


@pytest.mark.parametrize("variant", COARSE_AND_FINE, ids=" ".join)
@pytest.mark.parametrize("case", ["STS_013", "STS_026"])
def test_without_a_whole_head_nothing_is_gradable(
    real_ct: RealCt, case: str, variant: tuple[str, ...], tmp_path: Path
) -> None:
    assert gradable(real_ct.volume(case, tmp_path, *variant)) == {}


@pytest.mark.parametrize("variant", COARSE_AND_FINE, ids=" ".join)
def test_head_with_its_top_cut_is_found_in_its_place_or_not_at_all(
    real_ct: RealCt, variant: tuple[str, ...], tmp_path: Path
) -> None:
    found = gradable(real_ct.volume("STS_046", tmp_path, *variant))

    assert set(found) <= {"R"}
    for femur in found.values():
        head = real_ct.heads_mm("STS_046")["R"]
        assert np.linalg.norm(np.subtract(femur.center_mm, head)) < 10


@pytest.mark.parametrize(("axis", "degrees"), [(0, -15), (1, -10), (1, 10), (2, 10), (2, 25)])
def test_heads_of_rotated_patients_are_found(
    real_ct: RealCt, axis: int, degrees: float, tmp_path: Path
) -> None:
    """Tilted, leaning and rolled patients: the roof of a socket can look like a head."""
    upright = real_ct.volume("pelvis_two_hips", tmp_path, *VARIANTS[1])
    turn = rotation(axis, degrees)
    affine = np.eye(4)
    affine[:3, :3] = turn
    turned = reformat.canonical(Volume(upright.hu, affine @ upright.affine))
    volume = reformat.along_patient_axes(turned, (2.5, 1.25, 1.25))

    found = gradable(volume)

    assert set(found) == {"R", "L"}
    for side, head in real_ct.heads_mm("pelvis_two_hips").items():
        assert np.linalg.norm(np.subtract(found[side].center_mm, turn @ head)) < 5


@pytest.mark.parametrize("lowest", ["45", "60", "80", "100", "125"])
@pytest.mark.parametrize("variant", [VARIANTS[1], VARIANTS[4]], ids=" ".join)
def test_pelvis_that_ends_above_the_shafts_is_never_graded(
    real_ct: RealCt, variant: tuple[str, ...], lowest: str, tmp_path: Path
) -> None:
    """The heads lie at about 100 mm: cropped below the trochanters, through necks and heads,
    and above them, where ilium and sacrum form spheres with necks."""
    crop = ("--crop", "-240", "240", "-240", "240", lowest, "240")

    assert gradable(real_ct.volume("pelvis_two_hips", tmp_path, *variant, *crop)) == {}


@pytest.mark.parametrize(("side", "edges"), [("R", ("-240", "5")), ("L", ("5", "240"))])
def test_half_a_pelvis_has_its_own_hip_only(
    real_ct: RealCt, side: str, edges: tuple[str, str], tmp_path: Path
) -> None:
    crop = ("--crop", *edges, "-240", "240", "-70", "240")
    found = gradable(real_ct.volume("pelvis_two_hips", tmp_path, *VARIANTS[0], *crop))

    assert set(found) == {side}
    head = real_ct.heads_mm("pelvis_two_hips")[found[side].side]
    assert np.linalg.norm(np.subtract(found[side].center_mm, head)) < 5


def test_neck_of_a_young_woman_is_dense_on_both_sides(real_ct: RealCt, tmp_path: Path) -> None:
    volume = real_ct.volume("pelvis_two_hips", tmp_path, *VARIANTS[0])

    for femur in select.find_femurs(volume):
        neck = neck_attenuation(volume, select.choose_plane(volume, femur), femur)
        assert isinstance(neck, NeckAttenuation)
        assert 100 < neck.mean_hu < 300
