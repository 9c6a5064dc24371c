"""Frames of body, pelvis and femurs in patient LPS mm.

Body frame: origin in the middle of the femoral heads, x to the patient's left, y to the
back, z to the head. Side frames are mirrored so that x points away from the middle.
"""

from dataclasses import dataclass

import numpy as np

from training.simulate.anatomy.arthrosis import migration_mm
from training.simulate.geometry.shapes import MIRROR_X, Frame, Matrix, rotation
from training.simulate.subject import HipAnatomy, Subject
from worker.pipeline.volume import Side


@dataclass(frozen=True, slots=True)
class FemurFrame:
    """Frame of one femur.

    The origin is the head's center; x follows the neck seen from above (outwards), y points to
    the back, z up along the shaft.

    ``neck_end_mm`` : (x, z) where the neck axis meets the shaft axis. ``neck_axis`` :
    (x, z) unit vector from the head to there. ``neck_length_mm`` : along it.
    """

    frame: Frame
    neck_end_mm: tuple[float, float]
    neck_axis: tuple[float, float]
    neck_length_mm: float


def body_frame(subject: Subject) -> Frame:
    """Return the frame of the body."""
    return Frame(
        rotation(*subject.pose.rotation_deg), np.array(subject.pose.position_mm, dtype=float)
    )


def pelvis_frame(subject: Subject) -> Frame:
    """Return the frame of the pelvis, tilted about the line through the femoral heads."""
    return body_frame(subject).child(rotation(subject.pose.pelvic_tilt_deg, 0, 0), np.zeros(3))


def side_frame(frame: Frame, side: Side, origin_mm: tuple[float, float, float]) -> Frame:
    """Return a frame whose x points away from the middle.

    ``origin_mm`` : origin of the left side's frame.
    """
    if side == "L":
        return frame.child(np.eye(3), np.array(origin_mm))
    return frame.child(MIRROR_X, MIRROR_X @ np.array(origin_mm))


def hip_frame(subject: Subject, side: Side) -> Frame:
    """Return the frame of the acetabulum: its center, axes of the pelvis, x outwards."""
    half = subject.body.hip_distance_mm / 2
    return side_frame(pelvis_frame(subject), side, (half, 0.0, 0.0))


def thigh_frame(subject: Subject, hip: HipAnatomy) -> Frame:
    """Return the frame of the thigh, not turned by rotation of the leg.

    The origin is the head's center, z points up along the shaft, x outwards.
    """
    half = subject.body.hip_distance_mm / 2
    leg = side_frame(body_frame(subject), hip.side, (half, 0.0, 0.0))
    return leg.child(_leg_axes(hip), migration_mm(hip))


def _leg_axes(hip: HipAnatomy) -> Matrix:
    # x outwards, z up: adduction turns −z towards −x; flexion turns −z towards −y (front).
    return np.asarray(rotation(0, hip.adduction_deg, 0) @ rotation(-hip.flexion_deg, 0, 0))


def femur_frame(subject: Subject, hip: HipAnatomy) -> FemurFrame:
    """Return the frame of the femur.

    The greater trochanter is behind the head by anteversion plus external rotation.
    """
    thigh = thigh_frame(subject, hip)
    turn = rotation(0, 0, hip.anteversion_deg + hip.rotation_deg)
    slope = np.radians(hip.neck_shaft_deg - 90.0)
    x = hip.offset_mm
    z = -x * float(np.tan(slope))
    length = float(np.hypot(x, z))
    return FemurFrame(thigh.child(turn, np.zeros(3)), (x, z), (x / length, z / length), length)
