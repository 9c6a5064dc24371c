"""Shoulders: humeral head and shaft of raised and hanging arms."""

import numpy as np
import pytest

from tests.support.simulated import standard_patient, values_along, volume_around
from training.simulate.anatomy import shoulders
from training.simulate.anatomy.frames import body_frame, side_frame
from worker.pipeline.volume import Side


@pytest.mark.parametrize("arms_down", [True, False])
@pytest.mark.parametrize("side", ["R", "L"])
def test_humeral_head_is_a_sphere_with_its_shaft_towards_the_arm(
    side: Side, arms_down: bool
) -> None:
    subject = standard_patient(arms_down=arms_down)
    frame = side_frame(body_frame(subject), side, (0.0, 0.0, 0.0))
    head = frame.place(np.array(shoulders.JOINT) * subject.body.scale)
    inwards = -frame.axes[:, 0]
    along = frame.axes @ (shoulders.elbow_mm(subject) / subject.body.scale - shoulders.JOINT)
    along /= np.linalg.norm(along)

    volume = volume_around(subject, "chest", head, pixel_mm=1.0, rows=420)

    radius = subject.hip(side).head_radius_mm
    surface = values_along(volume, head, inwards, radius + np.arange(-3.0, 3.0, 0.5))
    joint = values_along(volume, head, inwards, radius + np.arange(1.0, 5.0, 0.5))
    assert surface.max() > 300
    assert joint.min() < surface.max() - 100
    shaft = values_along(volume, head + 2.5 * radius * along, inwards, np.arange(-20.0, 20.0))
    assert shaft.max() > 500
    assert (
        values_along(volume, head - 2.5 * radius * along, inwards, np.arange(0.0, 8.0)).max()
        < 500
    )
