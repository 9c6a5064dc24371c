"""Lumbar levels and attenuation on real CT (``tests.support.real_ct``).

Covered: one whole lumbar spine in six renderings and parts of it, two chests and a pelvis
without certain levels.
Not covered: other whole lumbar spines, since the folder has no more.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.ct_volume import load_series
from tests.support.real_ct import FOLDER, RealCt, realct
from worker.pipeline.femurs.grid import build_grid
from worker.pipeline.lumbar_results import LevelDoubt, LumbarMeasurements, Region
from worker.pipeline.spine import measure
from worker.pipeline.spine.aorta import aorta_hu
from worker.pipeline.spine.canal import find_canal
from worker.pipeline.spine.lumbar import measure_lumbar
from worker.pipeline.volume import Volume

pytestmark = [*realct, pytest.mark.slow]

# Middle of the front part of each body, patient LPS mm, by eye; T12 has the last ribs.
BY_EYE = {
    "L1": (-15, 54, -561), "L2": (-16, 50, -595), "L3": (-17, 47, -631), "L4": (-17, 45, -667),
}  # fmt: skip
AXIAL = ("--plane", "axial", "--spacing", "0.9", "--thickness")
CORONAL = ("--plane", "coronal", "--spacing", "0.9", "--thickness")
RENDERINGS = (
    (*AXIAL, "2.5", "--noise", "20"),
    (*AXIAL, "5"),
    (*CORONAL, "2"),
    (*CORONAL, "3", "--flip-x"),
    (*CORONAL, "4", "--reverse"),
)


@pytest.fixture(scope="module")
def real_ct() -> RealCt:
    return RealCt(FOLDER)


def measured(real_ct: RealCt, case: str, out: Path, *options: str) -> LumbarMeasurements:
    series, volume = load_series(real_ct.series(case, out, *options))
    return measure_lumbar(series, build_grid(volume))


def test_whole_lumbar_spine(real_ct: RealCt, tmp_path: Path) -> None:
    values: dict[str, list[float]] = {level: [] for level in BY_EYE}
    for number, options in enumerate(RENDERINGS):
        out = tmp_path / str(number)
        found = measured(real_ct, "abdomen_lumbar_spine", out, *options, "--kvp", "140")
        assert found.text == measure.AGREE
        assert found.conditions.phase == "none"
        assert found.conditions.aorta_hu == pytest.approx(39, abs=5)
        for one in found.measurements:
            level, region = one.vertebra.level, one.vertebra.region
            assert isinstance(region, Region), (options, level, region)
            off_mm = np.subtract(region.center_mm, BY_EYE[level])
            if "--flip-x" in options:
                off_mm = off_mm[1:]
            assert np.abs(off_mm).max() < 6, (options, level, off_mm)
            values[level].append(region.mean_hu)
            assert all(limit.why_not is not None for limit in one.limits)
    for name, hu in values.items():
        assert np.std(hu, ddof=1) / np.mean(hu) < 0.03, (name, hu)


def test_other_numbers_of_vertebrae_and_less_bone(real_ct: RealCt, tmp_path: Path) -> None:
    """The same spine without L2, with L2 twice, and with 110 HU less in all bone."""
    volume = real_ct.volume("abdomen_lumbar_spine", tmp_path, *AXIAL, "3")
    top, bottom = (round(volume.to_index((0, 0, z))[1]) for z in (-578, -612))
    for above, below in ((top, bottom), (bottom, top)):
        hu = np.concatenate([volume.hu[:, :above], volume.hu[:, below:]], axis=1)
        found = measure.measure_spine(replace(volume, hu=hu))
        assert found.vertebrae == ()
        assert found.uncertain is not None
        assert found.uncertain.doubt is LevelDoubt.DISAGREE
        assert all(145 < region.mean_hu < 180 for region in found.uncertain.regions)
    bone = (volume.hu > 60) & (volume.hu < 600)
    less = np.where(bone, np.maximum(volume.hu - 110, np.minimum(volume.hu, 40)), volume.hu)
    found = measure.measure_spine(replace(volume, hu=less.astype(np.int16)))
    assert found.text == measure.AGREE
    for one in found.vertebrae:
        assert isinstance(one.region, Region)
        assert np.abs(np.subtract(one.region.center_mm, BY_EYE[one.level])).max() < 6
        assert one.region.mean_hu < 80


@pytest.mark.parametrize("options", [(*AXIAL, "3"), (*CORONAL, "3")], ids=["axial", "coronal"])
def test_part_of_a_lumbar_spine_is_measured_without_levels(
    real_ct: RealCt, options: tuple[str, ...], tmp_path: Path
) -> None:
    """Without the sacrum, without the last ribs, and down to T12 or L1."""
    volume = real_ct.volume("abdomen_lumbar_spine", tmp_path, *options)
    for top_mm, bottom_mm, doubt, levels in (
        (None, -700, LevelDoubt.NO_SACRUM, "L1 L2 L3 L4"),
        (None, -660, LevelDoubt.NO_SACRUM, "L1 L2 L3"),
        (-560, None, LevelDoubt.NO_RIB, "L2 L3 L4"),
        (None, -580, LevelDoubt.NO_SACRUM, ""),
        (None, -540, LevelDoubt.NO_SACRUM, ""),
    ):
        found = measure.measure_spine(_between(volume, top_mm, bottom_mm))
        assert found.vertebrae == ()
        assert str(doubt) in found.text
        regions = () if found.uncertain is None else found.uncertain.regions
        assert len(regions) == len(levels.split()), (bottom_mm, regions)
        for region, level in zip(regions, levels.split(), strict=True):
            assert np.abs(np.subtract(region.center_mm, BY_EYE[level])).max() < 6


def _between(volume: Volume, top_mm: float | None, bottom_mm: float | None) -> Volume:
    """Return the part of a volume between two heights, patient LPS mm."""
    first, last = (
        None if z is None else round(volume.to_index((0, 0, z))[1]) for z in (top_mm, bottom_mm)
    )
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_mm((0, first or 0, 0))
    return Volume(volume.hu[:, first:last], affine)


@pytest.mark.parametrize("options", [(*AXIAL, "3"), (*CORONAL, "3")], ids=["axial", "coronal"])
@pytest.mark.parametrize("case", ["chest_arterial", "chest_dense_contrast", "pelvis_two_hips"])
def test_no_level_where_sacrum_or_ribs_are_not_in_view(
    real_ct: RealCt, case: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    found = measured(real_ct, case, tmp_path, *options)
    assert found.regions == ()
    assert "uncertain" in found.text
    assert found.conditions.aorta_hu is None


def test_aorta_in_the_arterial_phase(real_ct: RealCt, tmp_path: Path) -> None:
    grid = build_grid(real_ct.volume("chest_arterial", tmp_path, *AXIAL, "3"))
    canal = find_canal(grid)
    assert canal is not None
    assert aorta_hu(grid, canal) == pytest.approx(400, abs=20)
