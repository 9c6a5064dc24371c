"""The finder and the neck's attenuation on real CT through DICOM files.

Covered: sides and centers of the heads in both planes, thin and thick, and the same in both;
repeatable attenuation; volumes without a whole head; rotated patients, cropped pelves; the same
probabilities in both planes. Not covered: right grades (no patient has a DXA result); all forms
of each volume (``tests.bench.finder``, ``tests.bench.real_ct``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.support.oblique import rotation
from tests.support.real_ct import FOLDER, RealCt, realct
from worker.pipeline import reformat, select
from worker.pipeline.heat_map import is_heat_on_femur
from worker.pipeline.model import package
from worker.pipeline.model.classify import ImageModel
from worker.pipeline.neck import neck_attenuation
from worker.pipeline.results import Hip, NeckAttenuation, NeckNotMeasured
from worker.pipeline.screen import screen
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.rules import first_failure
from worker.pipeline.volume import Femur, Side, Volume

pytestmark = [*realct, pytest.mark.slow]

CORONAL = ("--plane", "coronal", "--spacing", "0.8", "--thickness", "3")
CORONAL_THICK = ("--plane", "coronal", "--spacing", "1.2", "--thickness", "4", "--reverse")
AXIAL = ("--plane", "axial", "--spacing", "0.9", "--thickness", "2.5")
AXIAL_THICK = ("--plane", "axial", "--spacing", "1.2", "--thickness", "5", "--reverse")
VARIANTS = (CORONAL, CORONAL_THICK, AXIAL, AXIAL_THICK)
# Both hips with all of the bones around them.
HIPS = ("--crop", "-190", "200", "-120", "140", "-66", "190")
CROPS = {"pelvis_two_hips": HIPS, "STS_036": ()}
SAME_PLACE_MM = 4.0


@dataclass(frozen=True)
class Found:
    """The femurs of a volume that would be graded, and the attenuation of their necks."""

    femurs: dict[str, Femur]
    necks: dict[str, NeckAttenuation | NeckNotMeasured]


Find = Callable[..., Found]


def find(volume: Volume) -> Found:
    femurs = {
        femur.side: femur
        for femur in select.find_femurs(volume)
        if first_failure(eligibility.check_hip(volume, femur)) is None
    }
    necks = {
        side: neck_attenuation(volume, select.choose_plane(volume, femur), femur)
        for side, femur in femurs.items()
    }
    return Found(femurs, necks)


@pytest.fixture(scope="module")
def real_ct() -> RealCt:
    return RealCt(FOLDER)


@pytest.fixture(scope="module")
def found(real_ct: RealCt, tmp_path_factory: pytest.TempPathFactory) -> Find:
    """Return what is found in a volume with the options of ``to_dicom.py``; once for each."""

    @cache
    def find_in(case: str, *options: str) -> Found:
        return find(real_ct.volume(case, tmp_path_factory.mktemp(case), *options))

    return find_in


@pytest.mark.parametrize("case", CROPS)
@pytest.mark.covers("R7")
def test_heads_are_found_in_every_form_and_at_the_same_place(
    real_ct: RealCt, found: Find, case: str
) -> None:
    heads = real_ct.heads_mm(case)
    for variant in VARIANTS:
        femurs = found(case, *variant, *CROPS[case]).femurs

        assert set(femurs) == set(heads), variant
        for side, head in heads.items():
            assert np.linalg.norm(np.subtract(femurs[side].center_mm, head)) < 5, variant
    for coronal, axial in (CORONAL, AXIAL), (CORONAL_THICK, AXIAL_THICK):
        first, second = (
            found(case, *variant, *CROPS[case]).femurs for variant in (coronal, axial)
        )
        for side in heads:
            between = np.subtract(first[side].center_mm, second[side].center_mm)
            assert np.linalg.norm(between) < SAME_PLACE_MM


@pytest.mark.parametrize("case", CROPS)
def test_attenuation_of_a_neck_is_the_same_in_every_form(found: Find, case: str) -> None:
    results = [found(case, *variant, *CROPS[case]).necks for variant in VARIANTS]
    for side in results[0]:
        necks = [each[side] for each in results]
        values = [neck.mean_hu for neck in necks if isinstance(neck, NeckAttenuation)]

        assert len(values) == len(VARIANTS)
        assert 80 < np.mean(values) < 200
        assert np.std(values, ddof=1) / np.mean(values) < 0.06


@pytest.mark.parametrize("variant", VARIANTS, ids=" ".join)
@pytest.mark.parametrize("case", ["STS_013", "STS_026"])
def test_without_a_whole_head_nothing_is_gradable(
    found: Find, case: str, variant: tuple[str, ...]
) -> None:
    assert found(case, *variant).femurs == {}


@pytest.mark.parametrize("variant", VARIANTS, ids=" ".join)
def test_head_with_its_top_cut_is_found_in_its_place_or_not_at_all(
    real_ct: RealCt, found: Find, variant: tuple[str, ...]
) -> None:
    femurs = found("STS_046", *variant).femurs

    assert set(femurs) <= {"R"}
    for femur in femurs.values():
        head = real_ct.heads_mm("STS_046")["R"]
        assert np.linalg.norm(np.subtract(femur.center_mm, head)) < 10


@pytest.fixture(scope="module")
def upright(real_ct: RealCt, tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return real_ct.volume(
        "pelvis_two_hips", tmp_path_factory.mktemp("upright"), *CORONAL, *HIPS
    )


@pytest.mark.parametrize(("axis", "degrees"), [(0, -15), (1, -10), (1, 10), (2, 10), (2, 25)])
def test_heads_of_rotated_patients_are_found(
    real_ct: RealCt, upright: Volume, axis: int, degrees: float
) -> None:
    """Tilted, leaning and rolled patients: the roof of a socket can look like a head."""
    turn = rotation(axis, degrees)
    affine = np.eye(4)
    affine[:3, :3] = turn
    turned = reformat.canonical(Volume(upright.hu, affine @ upright.affine))

    femurs = find(reformat.along_patient_axes(turned, (2.5, 1.25, 1.25))).femurs

    assert set(femurs) == {"R", "L"}
    for side, head in real_ct.heads_mm("pelvis_two_hips").items():
        assert np.linalg.norm(np.subtract(femurs[side].center_mm, turn @ head)) < 5


@pytest.mark.parametrize("lowest", ["45", "60", "80", "100", "125"])
@pytest.mark.parametrize("variant", [CORONAL, AXIAL], ids=" ".join)
def test_pelvis_that_ends_above_the_shafts_is_never_graded(
    found: Find, variant: tuple[str, ...], lowest: str
) -> None:
    """The heads lie at about 100 mm: cropped below the trochanters, through necks and heads,
    and above them, where ilium and sacrum form spheres with necks."""
    crop = ("--crop", "-190", "200", "-120", "140", lowest, "240")

    assert found("pelvis_two_hips", *variant, *crop).femurs == {}


@pytest.mark.parametrize(("side", "edges"), [("R", ("-190", "5")), ("L", ("5", "200"))])
def test_half_a_pelvis_has_its_own_hip_only(
    real_ct: RealCt, found: Find, side: str, edges: tuple[str, str]
) -> None:
    crop = ("--crop", *edges, "-120", "140", "-70", "240")
    femurs = found("pelvis_two_hips", *CORONAL, *crop).femurs

    assert set(femurs) == {side}
    head = real_ct.heads_mm("pelvis_two_hips")[femurs[side].side]
    assert np.linalg.norm(np.subtract(femurs[side].center_mm, head)) < 5


@pytest.mark.parametrize("case", ["pelvis_two_hips", "STS_036", "STS_040", "STS_044"])
def test_real_hip_is_read_alike_in_both_planes(
    case: str, model: ImageModel, real_ct: RealCt, tmp_path: Path
) -> None:
    """The necks are turned 7° to more than 30° out of the coronal plane."""
    read = dict[tuple[str, Side], Hip]()
    for plane, options in (("coronal", CORONAL), ("axial", AXIAL)):
        paths = real_ct.series(case, tmp_path / plane, *options, *CROPS.get(case, ()))
        read |= {(plane, hip.side): hip for hip in screen(paths, model).hips}

    for side in real_ct.heads_mm(case):
        coronal, axial = (read[plane, side] for plane in ("coronal", "axial"))
        assert coronal.probabilities is not None, coronal.reason
        assert axial.probabilities is not None, axial.reason
        assert dict(axial.probabilities) == pytest.approx(dict(coronal.probabilities), abs=0.08)
        assert is_heat_on_femur(coronal)
        assert is_heat_on_femur(axial)


@pytest.fixture(scope="module")
def model() -> ImageModel:
    return package.load(package.SHIPPED_DIR)
