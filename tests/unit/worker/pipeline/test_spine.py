"""Levels and trabecular regions of the lumbar spine in a phantom with known truth."""

from functools import cache

import numpy as np
import pytest

from tests.support.spine_phantom import THORACIC, SpinePhantom, build_volume
from worker.pipeline.lumbar_results import NotMeasured, Region, Spine
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


@pytest.mark.covers("H18")
@pytest.mark.parametrize(
    ("phantom", "text"),
    [
        pytest.param(SpinePhantom(lumbar=6), measure.DISAGREE.text, id="six-lumbar"),
        pytest.param(SpinePhantom(lumbar=4), measure.DISAGREE.text, id="four-lumbar"),
        pytest.param(SpinePhantom(ribs_mm=(48.0, 85.0)), measure.NO_RIB.text, id="one-rib"),
        pytest.param(SpinePhantom(ribs_mm=(48.0, 48.0)), measure.DISAGREE.text, id="stumps"),
        pytest.param(SpinePhantom(sacrum=False), measure.NO_SACRUM.text, id="no-sacrum"),
    ],
)
def test_no_level_where_sacrum_and_ribs_do_not_agree(phantom: SpinePhantom, text: str) -> None:
    assert measured(phantom) == Spine((), text)


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
