"""Covered: crops rendered alone are those of whole slices; the cache; mirrored left hips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training import presets
from training.cohort_crops import Crops, plane_of, render_cohort, render_shard
from training.simulate.acquisition import sample_acquisition
from training.simulate.scanner import render_volume
from training.simulate.subject import sample_subject
from training.simulate.truth import truth
from worker.pipeline import crop
from worker.pipeline.results import Femur, Plane

COHORT = replace(presets.load("compact").cohort, patients=2, scans=2)


@pytest.mark.parametrize("side", [0, 1])
def test_crop_of_a_region_is_the_crop_of_the_whole_slice(side: int) -> None:
    rng = np.random.default_rng(8)
    subject = sample_subject(rng)
    acquisition = sample_acquisition(rng, subject, plane="coronal", reverse=bool(side))
    hip = truth(subject)[side]
    femur = Femur(hip.side, hip.center_mm, hip.radius_mm, hip.neck_mm, 1.0)

    region = plane_of(subject, acquisition, femur, hip.neck_mm[1])

    index = round((hip.neck_mm[1] - acquisition.affine()[1, 3]) / acquisition.affine()[1, 0])
    whole = render_volume(subject, acquisition, [index])
    x, y, z = whole.to_mm((0, 0, 0)).tolist()
    pixel_mm = acquisition.pixel_mm
    plane = Plane(index, whole.hu[0], (x, y, z), pixel_mm, pixel_mm, None)
    expected = crop.crop_hip(plane, femur).pixels
    # A region's pixels may be 1 HU off, 0.13 gray levels.
    np.testing.assert_allclose(crop.crop_hip(region, femur).pixels, expected, atol=0.14)


def test_shard_has_both_hips_of_every_scan_with_left_ones_mirrored(tmp_path: Path) -> None:
    path = tmp_path / "shard.npz"

    render_shard(COHORT, 3, range(2), path)

    crops = Crops(**{name: array for name, array in np.load(path).items() if name != "seconds"})
    assert crops.pixels.shape == (8, 250, 250)
    assert crops.patient.tolist() == [0] * 4 + [1] * 4
    assert crops.scan.tolist() == [0, 0, 1, 1] * 2
    assert crops.left.tolist() == [False, True] * 4
    # A right hip's picture has the patient's outside on its left: less tissue there.
    for picture in crops.pixels.astype(np.float32):
        assert picture[:, :40].mean() < picture[:, -40:].mean()


def test_cohort_is_the_same_with_any_number_of_processes_and_read_again(tmp_path: Path) -> None:
    one, seconds = render_cohort(COHORT, 4, tmp_path / "one", workers=1)
    render_shard(COHORT, 4, range(2), tmp_path / "direct.npz")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").iterdir()}
    advanced: list[int] = []

    again, same_seconds = render_cohort(
        COHORT, 4, tmp_path / "one", workers=1, advance=advanced.append
    )

    np.testing.assert_array_equal(one.pixels, np.load(tmp_path / "direct.npz")["pixels"])
    np.testing.assert_array_equal(again.pixels, one.pixels)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "one").iterdir()} == files
    assert advanced == [2]
    assert 0 < seconds == same_seconds


def test_another_seed_is_another_cohort(tmp_path: Path) -> None:
    small = replace(COHORT, patients=1, scans=1)

    first, second = (render_cohort(small, seed, tmp_path, workers=1)[0] for seed in (1, 2))

    assert first.t_score.tolist() != second.t_score.tolist()
