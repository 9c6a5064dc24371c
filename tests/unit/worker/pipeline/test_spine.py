"""Levels and trabecular regions of the lumbar spine in a phantom with known truth."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.support.spine_phantom import THORACIC, SpinePhantom, build_volume
from worker.pipeline.lumbar_results import LevelDoubt, NotMeasured, Region, Spine
from worker.pipeline.spine import measure
from worker.pipeline.spine.measure import measure_spine
from worker.pipeline.volume import Volume

HU = {"L1": 90.0, "L2": 130.0, "L3": 170.0, "L4": 210.0}
LOW = dict.fromkeys((*THORACIC, "L1", "L2", "L3", "L4", "L5"), 40.0)
USUAL = SpinePhantom(trabecular_hu=HU)


@cache
def measured(phantom: SpinePhantom) -> Spine:
    return measure_spine(build_volume(phantom))


def regions(phantom: SpinePhantom) -> dict[str, Region | NotMeasured]:
    return {one.level: one.region for one in measured(phantom).vertebrae}


@pytest.mark.parametrize(
    "phantom",
    [
        pytest.param(USUAL, id="axial"),
        pytest.param(SpinePhantom((1.8, 5.0, 1.8), trabecular_hu=HU), id="axial-5-mm"),
        pytest.param(SpinePhantom((4.0, 1.8, 1.8), trabecular_hu=HU), id="coronal-4-mm"),
        pytest.param(SpinePhantom(trabecular_hu=HU, bend_mm=15.0), id="bent"),
        pytest.param(SpinePhantom(trabecular_hu=HU, noise_hu=40.0), id="noisy"),
        pytest.param(SpinePhantom(trabecular_hu=LOW), id="less-dense-than-discs"),
    ],
)
def test_levels_and_attenuation(phantom: SpinePhantom) -> None:
    """Each level has its own attenuation, so that a wrong level cannot pass."""
    found = regions(phantom)
    assert list(found) == ["L1", "L2", "L3", "L4"]
    for level, region in found.items():
        assert isinstance(region, Region), (level, region)
        assert region.mean_hu == pytest.approx(phantom.trabecular_hu[level], abs=5)
        off_mm = np.subtract(region.center_mm, phantom.middle_mm(level))
        assert np.abs(off_mm).max() < 5, (level, off_mm)
    assert measured(phantom).text == measure.AGREE


def test_region_inside_of_trabecular_bone() -> None:
    for level, region in regions(USUAL).items():
        assert isinstance(region, Region)
        outline = np.array(region.outline_mm) - USUAL.middle_mm(level)
        assert len(outline) >= 9
        # Half axes of the painted trabecular bone: 0.84 of 23 × 16 mm; the body is 20 mm high.
        assert np.hypot(outline[:, 0] / 19.3, outline[:, 1] / 13.4).max() < 1
        assert np.ptp(outline[:, 2]) == 0
        x, y = outline[:, 0], outline[:, 1]
        area = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
        assert region.area_mm2 == pytest.approx(area, rel=0.02)
        assert region.area_mm2 > 120
        assert 0 < region.sd_hu < 20


BY_VERTEBRA = {"T12": 250.0, **HU, "L5": 240.0, "L6": 270.0}


def uncertain_phantom(**attributes: Any) -> SpinePhantom:
    return SpinePhantom(trabecular_hu=BY_VERTEBRA, **attributes)


def check_uncertain(found: Spine, doubt: LevelDoubt, levels: str) -> None:
    """Check that bodies of these true levels are measured, and none of them has a level."""
    assert found.vertebrae == ()
    assert found.text == f"The level of the vertebrae is uncertain: {doubt}."
    assert (found.view, found.aorta_hu) == (None, None)
    hu = [] if found.uncertain is None else [one.mean_hu for one in found.uncertain.regions]
    assert hu == pytest.approx([BY_VERTEBRA[level] for level in levels.split()], abs=5)
    assert (found.uncertain is None) == (not levels)
    assert found.uncertain is None or found.uncertain.doubt is doubt


@pytest.mark.covers("H18")
@pytest.mark.parametrize(
    ("phantom", "doubt", "levels"),
    [
        pytest.param({"lumbar": 6}, LevelDoubt.DISAGREE, "L2 L3 L4 L5", id="six-lumbar"),
        pytest.param({"lumbar": 4}, LevelDoubt.DISAGREE, "L1 L2 L3", id="four-lumbar"),
        pytest.param({"lumbar": 3}, LevelDoubt.DISAGREE, "", id="a-sign-is-wrong"),
        pytest.param({"ribs_mm": (48.0, 85.0)}, LevelDoubt.NO_RIB, "L1 L2 L3 L4", id="one-rib"),
        pytest.param(
            {"ribs_mm": (48.0, 48.0)}, LevelDoubt.DISAGREE, "L1 L2 L3 L4", id="short-ribs"
        ),
        pytest.param({"sacrum": False}, LevelDoubt.NO_SACRUM, "L1 L2 L3", id="no-sacrum"),
        pytest.param(
            {"dense": ("L2",), "lumbar": 4}, LevelDoubt.DISAGREE, "L1 L3", id="cement"
        ),
    ],
)
def test_no_level_where_sacrum_and_ribs_do_not_agree(
    phantom: dict[str, Any], doubt: LevelDoubt, levels: str
) -> None:
    check_uncertain(measured(uncertain_phantom(**phantom)), doubt, levels)


@pytest.mark.parametrize(
    ("above", "below", "doubt", "levels"),
    [
        pytest.param("L1", None, LevelDoubt.NO_RIB, "L2 L3 L4", id="ribs-not-in-view"),
        pytest.param("L3", None, LevelDoubt.NO_RIB, "L4", id="two-vertebrae"),
        pytest.param(None, "L3", LevelDoubt.NO_SACRUM, "L1 L2", id="down-to-l3"),
        pytest.param(None, "T12", LevelDoubt.NO_SACRUM, "", id="chest"),
        pytest.param(None, "L1", LevelDoubt.NO_SACRUM, "", id="no-rib-would-be-seen"),
    ],
)
def test_part_of_a_lumbar_spine(
    above: str | None, below: str | None, doubt: LevelDoubt, levels: str
) -> None:
    """A volume from a vertebra on, without the disc above it, or down to the disc below one."""
    phantom = uncertain_phantom()
    volume = build_volume(phantom)
    first = 0 if above is None else round(phantom.top_mm(above) / volume.spacing_mm[1])
    last = None
    if below is not None:
        end_mm = phantom.top_mm(below) + phantom.height_mm(below)
        last = round(end_mm / volume.spacing_mm[1])
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_mm((0, first, 0))
    check_uncertain(measure_spine(Volume(volume.hu[:, first:last], affine)), doubt, levels)


@pytest.mark.parametrize(
    ("phantom", "level", "reason"),
    [
        (SpinePhantom(heights_mm={"L2": 23.0}), "L2", NotMeasured.COMPRESSED),
        (SpinePhantom(dense=("L1",)), "L1", NotMeasured.DENSE),
        (SpinePhantom(metal=("L4",)), "L4", NotMeasured.METAL),
    ],
    ids=["compressed", "cement", "metal"],
)
def test_refused_vertebra(phantom: SpinePhantom, level: str, reason: NotMeasured) -> None:
    """The other vertebrae are still measured."""
    found = regions(phantom)
    assert found[level] is reason
    others = [region for name, region in found.items() if name != level]
    assert len(others) == 3
    assert all(isinstance(region, Region) for region in others)


@pytest.mark.parametrize("hu", [-1000, 50, 1200])
def test_no_spine_in_even_volume(hu: int) -> None:
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    volume = Volume(np.full((60, 80, 90), hu, np.int16), affine)
    assert measure_spine(volume) == measure.NO_SPINE
    assert measure_spine(Volume(volume.hu[:1], affine)) == measure.NO_SPINE
