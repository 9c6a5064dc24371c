"""Truth about a subject: the expected results of a femur finder and a model."""

from dataclasses import dataclass

import numpy as np

from training.simulate.anatomy.femur import NECK_MIDDLE, neck_attenuation
from training.simulate.anatomy.frames import femur_frame
from training.simulate.subject import HipAnatomy, Subject
from worker.pipeline.grading import grade_of_t_score
from worker.pipeline.results import Grade
from worker.pipeline.volume import PointMm, Side


@dataclass(frozen=True, slots=True)
class HipTruth:
    """Truth about one hip in patient LPS mm.

    ``trochanter_mm`` : where the axes of neck and shaft meet.
    ``shaft_direction`` : unit vector down the shaft. ``neck_hu`` : mean attenuation of the
    natural bone within 5 mm of the neck's middle at 120 kVp, without noise and blur.
    """

    side: Side
    center_mm: PointMm
    radius_mm: float
    neck_mm: PointMm
    trochanter_mm: PointMm
    intertrochanteric_mm: PointMm
    shaft_direction: PointMm
    neck_hu: float
    t_score: float
    grade: Grade
    metal: bool


def truth(subject: Subject) -> tuple[HipTruth, HipTruth]:
    """Return the truth about both hips, right first."""
    right, left = (_hip_truth(subject, hip) for hip in subject.hips)
    return right, left


def _hip_truth(subject: Subject, hip: HipAnatomy) -> HipTruth:
    femur = femur_frame(subject, hip)
    x, z = femur.neck_end_mm
    direction = femur.frame.axes @ np.array([0.0, 0.0, -1.0])
    return HipTruth(
        side=hip.side,
        center_mm=_point(femur.frame.place((0.0, 0.0, 0.0))),
        radius_mm=hip.head_radius_mm,
        neck_mm=_point(femur.frame.place((NECK_MIDDLE * x, 0.0, NECK_MIDDLE * z))),
        trochanter_mm=_point(femur.frame.place((x, 0.0, z))),
        intertrochanteric_mm=_point(femur.frame.place((x, 0.0, z - 18.0))),
        shaft_direction=_point(direction),
        neck_hu=neck_attenuation(subject, hip),
        t_score=hip.t_score,
        grade=grade_of_t_score(hip.t_score),
        metal=hip.implant is not None,
    )


def _point(values: np.ndarray) -> PointMm:
    x, y, z = (float(value) for value in values)
    return x, y, z
