"""Where body, pelvis and femurs lie in patient LPS mm.

Body frame: origin in the middle of the femoral heads, x to the patient's left, y to the
back, z to the head. Side frames are mirrored so that x points away from the middle.
"""

from dataclasses import dataclass

import numpy as np

from training.simulate.arthrosis import migration_mm
from training.simulate.shapes import MIRROR_X, Frame, Matrix, rotation
from training.simulate.subject import Hip, Subject
from worker.pipeline.results import Side


@dataclass(frozen=True, slots=True)
class FemurFrame:
    """Femur of one hip: head centre at the origin, x along the neck's direction seen from
    above (outwards), y to the back, z up along the shaft.

    ``neck_end_mm`` : (x, z) where the neck axis meets the shaft axis. ``neck_axis`` :
    (x, z) unit vector from the head to there. ``neck_length_mm`` : along it.
    """

    frame: Frame
    neck_end_mm: tuple[float, float]
    neck_axis: tuple[float, float]
    neck_length_mm: float


def body_frame(subject: Subject) -> Frame:
    """The body in patient coordinates."""
    return Frame(
        rotation(*subject.pose.rotation_deg), np.array(subject.pose.position_mm, dtype=float)
    )


def pelvis_frame(subject: Subject) -> Frame:
    """The pelvis: the body, tilted about the line through the femoral heads."""
    return body_frame(subject).child(rotation(subject.pose.pelvic_tilt_deg, 0, 0), np.zeros(3))


def side_frame(frame: Frame, side: Side, origin_mm: tuple[float, float, float]) -> Frame:
    """A frame whose x points away from the middle, at an origin given for the left side."""
    if side == "L":
        return frame.child(np.eye(3), np.array(origin_mm))
    return frame.child(MIRROR_X, MIRROR_X @ np.array(origin_mm))


def hip_frame(subject: Subject, side: Side) -> Frame:
    """Centre of the acetabulum, axes of the pelvis, x outwards."""
    half = subject.body.hip_distance_mm / 2
    return side_frame(pelvis_frame(subject), side, (half, 0.0, 0.0))


def thigh_frame(subject: Subject, hip: Hip) -> Frame:
    """Head centre, z up along the shaft, x outwards; not turned by rotation of the leg."""
    half = subject.body.hip_distance_mm / 2
    leg = side_frame(body_frame(subject), hip.side, (half, 0.0, 0.0))
    return leg.child(_leg_axes(hip), migration_mm(hip))


def _leg_axes(hip: Hip) -> Matrix:
    # x outwards, z up: adduction takes −z towards −x; flexion takes −z towards −y (front).
    return np.asarray(rotation(0, hip.adduction_deg, 0) @ rotation(-hip.flexion_deg, 0, 0))


def femur_frame(subject: Subject, hip: Hip) -> FemurFrame:
    """The femur in patient coordinates.

    The greater trochanter lies behind the head by anteversion plus external rotation.
    """
    thigh = thigh_frame(subject, hip)
    turn = rotation(0, 0, hip.anteversion_deg + hip.rotation_deg)
    slope = np.radians(hip.neck_shaft_deg - 90.0)
    x = hip.offset_mm
    z = -x * float(np.tan(slope))
    length = float(np.hypot(x, z))
    return FemurFrame(thigh.child(turn, np.zeros(3)), (x, z), (x / length, z / length), length)
