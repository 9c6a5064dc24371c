"""Lost joint spaces, shoulders and knees: what is there, and that nothing else changes.

Not covered: what the finder makes of them (tests/bench/finder.py)."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from training.simulate import shoulders
from training.simulate.acquisition import Acquisition, View, sample_acquisition
from training.simulate.arthrosis import excess, with_advanced_arthrosis
from training.simulate.frames import body_frame, hip_frame, side_frame
from training.simulate.scanner import render_volume
from training.simulate.scene import scene
from training.simulate.subject import Subject, sample_subject
from training.simulate.truth import truth
from worker.pipeline.results import Side, Volume


def _patient(seed: int = 3, arms_down: bool = False) -> Subject:
    subject = sample_subject(np.random.default_rng(seed), grade="normal")
    return replace(subject, pose=replace(subject.pose, arms_down=arms_down, prone=False))


def _scan(subject: Subject, view: View, **fixed: float) -> Acquisition:
    settings = {"kernel": "standard", "noise_hu": 1.0, "streaks": 0.0, "reverse": False}
    scale = {"rows": 256, "thickness_mm": 3.0, "increment_mm": 3.0} | fixed
    rng = np.random.default_rng(1)
    return sample_acquisition(rng, subject, "coronal", view, **settings, **scale)


def _around(subject: Subject, view: View, point_mm: np.ndarray, **fixed: float) -> Volume:
    """A few slices in front of and behind a point."""
    acquisition = _scan(subject, view, **fixed)
    index = float((np.linalg.inv(acquisition.affine()) @ [*point_mm, 1.0])[0])
    return render_volume(subject, acquisition, range(round(index) - 2, round(index) + 3))


def _along(volume: Volume, start: np.ndarray, direction: np.ndarray, reach: np.ndarray):
    points = start + reach[:, None] * direction
    index = volume.to_index(points).T
    return ndimage.map_coordinates(volume.hu.astype(np.float32), index, order=1)


def test_joint_space_is_lost_above_and_wide_below() -> None:
    healthy = _patient()
    worn = with_advanced_arthrosis(healthy, np.random.default_rng(0), "L")
    left = truth(worn)[1]
    up = hip_frame(worn, "L").axes @ np.array([0.35, 0.0, 0.94])
    fine = {"pixel_mm": 0.7}
    joint = left.radius_mm + np.arange(0.0, 5.0, 0.25)

    worn_volume = _around(worn, "pelvis", np.array(left.center_mm), **fine)
    before = truth(healthy)[1]
    healthy_volume = _around(healthy, "pelvis", np.array(before.center_mm), **fine)

    # Values along the way from the head into the roof: bone throughout, or a dark gap.
    assert _along(worn_volume, np.array(left.center_mm), up, joint).min() > 350
    assert _along(healthy_volume, np.array(before.center_mm), up, joint).min() < 300
    moved = np.subtract(left.center_mm, before.center_mm)
    assert 1.5 < moved @ up < 6


def test_only_the_sides_asked_for_are_worn() -> None:
    right, left = with_advanced_arthrosis(_patient(), np.random.default_rng(0), "R").hips

    assert excess(right) > 0
    assert excess(left) == 0


@pytest.mark.parametrize("arms_down", [True, False])
@pytest.mark.parametrize("side", ["R", "L"])
def test_humeral_head_is_a_ball_with_its_shaft_where_the_arm_goes(
    side: Side, arms_down: bool
) -> None:
    subject = _patient(arms_down=arms_down)
    frame = side_frame(body_frame(subject), side, (0.0, 0.0, 0.0))
    head = frame.place(np.array(shoulders.JOINT) * subject.body.scale)
    inwards = -frame.axes[:, 0]
    along = frame.axes @ (shoulders.elbow_mm(subject) / subject.body.scale - shoulders.JOINT)
    along /= np.linalg.norm(along)

    volume = _around(subject, "chest", head, pixel_mm=1.0, rows=420)

    radius = subject.hip(side).head_radius_mm
    surface = _along(volume, head, inwards, radius + np.arange(-3.0, 3.0, 0.5))
    joint = _along(volume, head, inwards, radius + np.arange(1.0, 5.0, 0.5))
    assert surface.max() > 300
    assert joint.min() < surface.max() - 100
    shaft = _along(volume, head + 2.5 * radius * along, inwards, np.arange(-20.0, 20.0))
    assert shaft.max() > 500
    assert _along(volume, head - 2.5 * radius * along, inwards, np.arange(0.0, 8.0)).max() < 500


def test_scan_of_the_pelvis_has_neither_shoulders_nor_knees() -> None:
    subject = _patient()
    plain, chest, legs = (
        sum(len(parts) for parts in scene(subject, _scan(subject, view)))
        for view in ("abdomen-pelvis", "chest", "knees")
    )

    assert plain < legs < chest
