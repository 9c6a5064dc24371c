"""Covered: heads, necks and sides in simulated volumes, volumes without femurs, the plane.
Not covered: accuracy over many poses (tests/bench/finder.py), real CT (integration)."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.bench.finder_cases import acquire
from training.simulate.acquisition import View, sample_acquisition
from training.simulate.subject import Condition, Subject, sample_subject
from training.simulate.truth import HipTruth, truth
from worker.pipeline import reformat, select
from worker.pipeline.femurs.grid import build_grid
from worker.pipeline.femurs.heads import SphereCandidate, SphereCandidates
from worker.pipeline.femurs.necks import Neck
from worker.pipeline.femurs.pairs import FemurCandidate, best_pair, opposite_of
from worker.pipeline.femurs.shafts import Shaft
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.rules import first_failure
from worker.pipeline.volume import Femur, Orientation, Volume

SMALL = {"rows": 256, "columns": 256, "pixel_mm": 1.6, "thickness_mm": 4.0, "increment_mm": 4.0}
NEAR_MM = 10.0


@cache
def simulated(
    plane: Orientation, view: View, condition: Condition = "none", seed: int = 11
) -> tuple[Subject, Volume, tuple[Femur, ...]]:
    rng = np.random.default_rng(seed)
    subject = sample_subject(rng, grade="osteoporosis", condition=condition)
    volume = acquire(subject, sample_acquisition(rng, subject, plane, view, **SMALL))
    return subject, volume, select.find_femurs(volume)


def error_mm(femur: Femur, hip: HipTruth) -> float:
    return float(np.linalg.norm(np.subtract(femur.center_mm, hip.center_mm)))


def with_sources(volume: Volume) -> Volume:
    """Return the volume as a coronal series gives it, each slice from one image."""
    return replace(volume, source_sop_uids=tuple(str(i) for i in range(len(volume.hu))))


@pytest.mark.parametrize("plane", ["coronal", "axial"])
def test_both_heads_of_a_pelvis_are_found_on_their_sides(plane: Orientation) -> None:
    subject, volume, femurs = simulated(plane, "pelvis")

    assert [femur.side for femur in femurs] == ["R", "L"]
    for femur, hip in zip(femurs, truth(subject), strict=True):
        assert error_mm(femur, hip) < NEAR_MM
        assert abs(femur.radius_mm - hip.radius_mm) < 5
        assert np.linalg.norm(np.subtract(femur.neck_mm, hip.neck_mm)) < 20
        assert first_failure(eligibility.check_hip(volume, femur)) is None


def test_plane_shows_head_and_neck_of_its_hip() -> None:
    subject, volume, femurs = simulated("coronal", "pelvis")

    for femur, hip in zip(femurs, truth(subject), strict=True):
        plane = select.choose_plane(with_sources(volume), femur)
        depth = volume.to_index([hip.center_mm, hip.neck_mm])[:, 0] * volume.spacing_mm[0]
        assert np.abs(plane.index * volume.spacing_mm[0] - depth).max() < hip.radius_mm / 2
        np.testing.assert_array_equal(plane.hu, volume.hu[plane.index])
        np.testing.assert_allclose(plane.to_mm((0, 0)), volume.to_mm((plane.index, 0, 0)))


def test_refined_fit_moves_a_sphere_beside_a_head_onto_it() -> None:
    subject, volume, femurs = simulated("coronal", "pelvis")
    grid = build_grid(volume)
    for femur, hip in zip(femurs, truth(subject), strict=True):
        center = grid.from_patient(femur.center_mm) + np.array([-3.0, -4.0, -5.0])
        axis = np.linalg.inv(grid.directions) @ np.array(femur.neck_axis)
        beside = FemurCandidate(SphereCandidate(center, 24.0, 0.3), Neck(axis, 0.5), None, 0.1)

        refined = select.refine_fit(grid, beside)

        assert refined.side == femur.side
        center_mm = grid.to_patient(refined.sphere.center)
        assert np.linalg.norm(center_mm - hip.center_mm) < 4


def test_other_hip_is_searched_only_where_it_may_lie() -> None:
    known = candidate(50, 0.5, False)
    points = np.array([[50.0, 100.0, 230.0], [50.0, 100.0, 400.0], [200.0, 100.0, 230.0]])

    assert opposite_of(known, points).tolist() == [True, False, False]
    spheres = SphereCandidates(points, np.array([0.2, 0.5, 0.4]), np.full(3, 23.0))
    assert [each.center[2] for each in spheres.best(opposite_of(known, points))] == [230]
    assert len(spheres.best()) == 3


def test_abdomen_without_hips_has_no_femur() -> None:
    assert simulated("coronal", "abdomen")[2] == ()


def test_metal_in_one_hip_leaves_the_other() -> None:
    subject, volume, femurs = simulated("coronal", "pelvis", "metal", seed=115)
    good = [hip for hip in truth(subject) if not hip.metal]
    bad = [hip for hip in truth(subject) if hip.metal]
    assert len(good) == len(bad) == 1

    gradable = [
        femur for femur in femurs if first_failure(eligibility.check_hip(volume, femur)) is None
    ]

    assert [femur.side for femur in gradable] == [good[0].side]
    assert error_mm(gradable[0], good[0]) < NEAR_MM
    found = next((femur for femur in femurs if femur.side == bad[0].side), None)
    reason = (
        first_failure(eligibility.missing_hip(volume, bad[0].side, gradable))
        if found is None
        else first_failure(eligibility.check_hip(volume, found))
    )
    assert reason is not None
    assert reason.code is ReasonCode.METAL


def test_mirrored_body_has_its_femurs_on_the_other_sides() -> None:
    """Sides come from patient coordinates, not from the order of columns in the file."""
    _, volume, femurs = simulated("coronal", "pelvis")
    affine = volume.affine.copy()
    affine[0, 3] = -(affine[0, 3] + affine[0, 2] * (volume.hu.shape[2] - 1))
    mirrored = Volume(np.ascontiguousarray(volume.hu[:, :, ::-1]), affine)

    found = select.find_femurs(mirrored)

    for femur, other in zip(found, reversed(femurs), strict=True):
        x, y, z = other.center_mm
        np.testing.assert_allclose(femur.center_mm, (-x, y, z), atol=5)


def test_volume_upside_down_in_the_file_gives_the_same_femurs() -> None:
    _, volume, femurs = simulated("coronal", "pelvis")
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 1] * (volume.hu.shape[1] - 1)
    affine[:3, 1] *= -1

    turned = reformat.canonical(Volume(volume.hu[:, ::-1], affine))

    assert select.find_femurs(turned) == femurs


@pytest.mark.parametrize("hu", [-1024, 50, 800])
def test_uniform_and_tiny_volumes_have_no_femur(hu: int) -> None:
    affine = np.array([[0, 0, 1.5, 0], [3, 0, 0, 0], [0, -1.5, 0, 0], [0, 0, 0, 1.0]])

    assert select.find_femurs(Volume(np.full((40, 80, 90), hu, np.int16), affine)) == ()
    assert select.find_femurs(Volume(np.full((10, 4, 4), hu, np.int16), affine)) == ()


def test_sphere_of_contrast_in_soft_tissue_is_no_femur() -> None:
    affine = np.array([[0, 0, 1.5, 0], [3, 0, 0, 0], [0, -1.5, 0, 0], [0, 0, 0, 1.0]])
    hu = np.full((60, 120, 120), 40, np.int16)
    slices, rows, columns = np.ogrid[:60, :120, :120]
    ball = ((slices - 30) * 3) ** 2 + ((rows - 60) * 1.5) ** 2 + ((columns - 60) * 1.5) ** 2
    hu[ball < 24**2] = 400

    assert select.find_femurs(Volume(hu, affine)) == ()


def candidate(
    x: float, quality: float, left: bool, radius: float = 23.0, neck: float = 0.5
) -> FemurCandidate:
    axis = np.array([0.2, 0.7, 0.7 if left else -0.7])
    sphere = SphereCandidate(np.array([50.0, 100.0, x]), radius, 0.4)
    return FemurCandidate(sphere, Neck(axis, neck), None, quality)


def test_partner_across_the_pelvis_may_be_less_sure() -> None:
    right, left, stray = (
        candidate(50, 0.5, False),
        candidate(230, 0.055, True),
        candidate(400, 0.07, True),
    )

    assert best_pair([stray, left, right]) == (right, left)
    assert best_pair([stray, right]) == (right,)
    assert best_pair([left]) == ()


def test_two_that_fit_together_need_less_than_one_alone() -> None:
    right, left = candidate(50, 0.045, False), candidate(230, 0.058, True)

    assert best_pair([right, left]) == (right, left)
    assert best_pair([left]) == ()
    assert best_pair([right, candidate(230, 0.046, True)]) == ()


def test_one_alone_with_a_clear_neck_needs_less() -> None:
    clear, faint = candidate(50, 0.055, False, neck=0.7), candidate(50, 0.045, False, neck=0.7)

    assert best_pair([clear]) == (clear,)
    assert best_pair([replace(clear, neck=Neck(clear.neck.axis, 0.5))]) == ()
    assert best_pair([faint]) == ()


def test_heads_of_one_patient_have_nearly_one_size() -> None:
    right, left = candidate(50, 0.5, False, 20.0), candidate(230, 0.3, True, 28.0)

    assert best_pair([right, left]) == (right,)


def test_sphere_beside_a_better_one_whose_shaft_is_cut_off_is_no_head() -> None:
    """A pelvis cut below the trochanters: the shaft of the true head is not in view."""
    shaft = Shaft(np.array([60.0, 160.0, 190.0]), np.array([0.0, 1.0, 0.0]), 0.9, 40.0)
    too_high = replace(candidate(230, 0.3, True), shaft=shaft)
    beside = SphereCandidate(
        too_high.sphere.center + np.array([0.0, 16.0, 0.0]), 23.0, 0.4, roundness=0.5
    )
    true = FemurCandidate(beside, too_high.neck, None, 0.0)

    assert best_pair([too_high]) == (too_high,)
    assert best_pair([too_high, true]) == ()
    inward = Neck(true.neck.axis * (1, 1, -1), true.neck.score)
    assert best_pair([too_high, replace(true, neck=inward)]) == (too_high,)
    assert best_pair([too_high, replace(true, shaft=shaft, quality=0.35)])[0].sphere is beside


def test_reformatted_plane_has_no_source_instance() -> None:
    _, volume, femurs = simulated("coronal", "pelvis")
    named = with_sources(volume)

    assert select.choose_plane(volume, femurs[0]).source_sop_uid is None
    plane = select.choose_plane(named, femurs[0])
    assert plane.source_sop_uid == str(plane.index)
