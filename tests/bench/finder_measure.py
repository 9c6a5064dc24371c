"""Comparison of the finder's result for one volume with the truth.

The hips in view are determined from the truth alone, not by the rules under test: a *whole* hip
(head, neck and both trochanters inside with a margin) must be found; an *absent* one (too much
is cut off to grade it) and one with metal must not be accepted; hips between these may be
accepted or not.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from training.simulate.truth import HipTruth
from worker.pipeline import select
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.rules import first_failure
from worker.pipeline.volume import Femur, Plane, PointMm, Side, Volume

View = Literal["whole", "part", "absent"]
Checked = tuple[Femur, Reason | None]

RIGHT_PLACE_MM = 10.0
"""Largest distance of a found head from the true one."""
NECK_REACH_MM = 12.0
TROCHANTER_REACH_MM = 20.0
DEPTH_REACH_MM = 8.0
PADDING_HU = -1000
LEAST_OF_HEAD = 0.5
"""A head is absent where less than this share of its radius beyond the center is in view."""


@dataclass(frozen=True, slots=True)
class KnownHip:
    """A true hip, patient LPS mm; the center of the neck may be unknown."""

    side: Side
    center_mm: PointMm
    view: View
    metal: bool = False
    neck_mm: PointMm | None = None

    @property
    def gradable(self) -> bool:
        """Whether the hip must be accepted."""
        return self.view == "whole" and not self.metal


@dataclass(frozen=True, slots=True)
class HipOutcome:
    """The result for a known hip. Errors are None where it was not accepted.

    ``center_mm`` : found minus true, (outward, back, up). ``plane_mm`` : from the true center
    of the neck to the chosen plane, along its normal, positive backward. ``neck_mm`` :
    distance of the centers of the neck; ``off_axis_mm`` : distance of the found one from the
    true axis.
    """

    hip: KnownHip
    accepted: bool
    reason: str
    center_mm: PointMm | None = None
    plane_mm: float | None = None
    neck_mm: float | None = None
    off_axis_mm: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one volume. ``reasons`` : by side, None where the hip is accepted.

    ``refused`` : the reason of a rule on pixels or geometry that refuses the whole volume.
    """

    name: str
    tags: tuple[str, ...]
    hips: tuple[HipOutcome, ...]
    false_acceptances: tuple[str, ...]
    swaps: tuple[str, ...]
    reasons: Mapping[Side, ReasonCode | None]
    cpu_s: float
    refused: str | None = None


def known_hips(volume: Volume, truths: Iterable[HipTruth]) -> tuple[KnownHip, ...]:
    """Return simulated hips with the part of each that the volume shows."""
    return tuple(
        KnownHip(hip.side, hip.center_mm, view_of(volume, hip), hip.metal, hip.neck_mm)
        for hip in truths
    )


def measure(
    name: str, tags: tuple[str, ...], volume: Volume, hips: tuple[KnownHip, ...]
) -> Outcome:
    """Find the femurs of a volume and compare them with the truth."""
    start = time.process_time()
    femurs = select.find_femurs(volume)
    cpu_s = time.process_time() - start
    checked = [(femur, first_failure(eligibility.check_hip(volume, femur))) for femur in femurs]
    false, swaps = [], []
    for femur, reason in checked:
        hip = at_head(hips, femur)
        if hip is not None and hip.side != femur.side:
            swaps.append(f"{hip.side} as {femur.side}")
        elif reason is None and (hip is None or hip.metal or hip.view == "absent"):
            what = "where none is" if hip is None else "metal" if hip.metal else "cut off"
            false.append(f"{femur.side} {what}")
    return Outcome(
        name=name,
        tags=tags,
        hips=tuple(_outcome(volume, hip, checked) for hip in hips),
        false_acceptances=tuple(false),
        swaps=tuple(swaps),
        reasons=_reasons(volume, checked),
        cpu_s=cpu_s,
        refused=_refused(volume, femurs),
    )


def _refused(volume: Volume, femurs: Sequence[Femur]) -> str | None:
    """Return the reason that refuses a volume; all volumes of the suites are valid."""
    checks = (*eligibility.check_volume(volume), *eligibility.check_femurs(volume, femurs))
    reason = first_failure(checks)
    return None if reason is None else f"{reason.code}, {reason.text}"


def at_head(hips: Iterable[KnownHip], femur: Femur) -> KnownHip | None:
    """Return the hip at whose head a femur lies, or None."""
    near = (hip for hip in hips if _apart(femur.center_mm, hip.center_mm) < RIGHT_PLACE_MM)
    return next(near, None)


def _apart(first: PointMm, second: PointMm) -> float:
    return float(np.linalg.norm(np.subtract(first, second)))


def _reasons(volume: Volume, checked: list[Checked]) -> dict[Side, ReasonCode | None]:
    reasons: dict[Side, ReasonCode | None] = {
        femur.side: None if reason is None else reason.code for femur, reason in checked
    }
    femurs = tuple(femur for femur, _ in checked)
    sides: tuple[Side, Side] = ("R", "L")
    for side in sides:
        if side not in reasons:
            reasons[side] = first_failure(eligibility.missing_hip(volume, side, femurs)).code
    return reasons


def _outcome(volume: Volume, hip: KnownHip, checked: list[Checked]) -> HipOutcome:
    here = (each for each in checked if each[0].side == hip.side and at_head([hip], each[0]))
    femur, rejected = next(here, (None, None))
    if femur is None:
        return HipOutcome(hip, False, "not found")
    if rejected is not None:
        return HipOutcome(hip, False, f"{rejected.code}, {rejected.text}")
    outward = np.array([1.0 if hip.side == "L" else -1.0, 1.0, 1.0])
    x, y, z = (float(v) for v in np.subtract(femur.center_mm, hip.center_mm) * outward)
    if hip.neck_mm is None:
        return HipOutcome(hip, True, "", (x, y, z))
    head, neck = np.array(hip.center_mm), np.array(hip.neck_mm)
    axis = (neck - head) / np.linalg.norm(neck - head)
    across = np.subtract(femur.neck_mm, neck)
    return HipOutcome(
        hip=hip,
        accepted=True,
        reason="",
        center_mm=(x, y, z),
        plane_mm=beyond(select.choose_plane(volume, femur), neck),
        neck_mm=float(np.linalg.norm(across)),
        off_axis_mm=float(np.linalg.norm(across - axis * (across @ axis))),
    )


def beyond(plane: Plane, point_mm: npt.ArrayLike) -> float:
    """Return the distance of a plane behind a point, mm along its normal."""
    normal = np.cross(plane.column_direction, plane.row_direction)
    normal *= np.sign(normal[1])
    return float(np.subtract(plane.position_mm, point_mm) @ normal)


def view_of(volume: Volume, hip: HipTruth) -> View:
    """Return the part of a true hip that the volume shows."""
    head, neck = np.array(hip.center_mm), np.array(hip.neck_mm)
    trochanter = np.array(hip.intertrochanteric_mm)
    r = hip.radius_mm
    around = (
        (head, (r, r, r)),
        (neck, (DEPTH_REACH_MM, NECK_REACH_MM, NECK_REACH_MM)),
        (trochanter, (DEPTH_REACH_MM, TROCHANTER_REACH_MM, TROCHANTER_REACH_MM)),
    )
    if all(shows(volume, point, reach) for point, reach in around):
        return "whole"
    half = LEAST_OF_HEAD * r
    least = ((head, (0.0, half, half)), (neck, (0.0,) * 3), (trochanter, (0.0,) * 3))
    return "part" if all(shows(volume, point, reach) for point, reach in least) else "absent"


def shows(
    volume: Volume, point_mm: npt.NDArray[np.float64], reach_mm: tuple[float, ...]
) -> bool:
    """Return whether a point and those ``reach_mm`` along each axis were scanned."""
    steps = np.diag(np.array(reach_mm) / volume.spacing_mm)
    around = np.vstack([np.zeros(3), steps, -steps])
    at = np.rint(volume.to_index(point_mm) + around).astype(int)
    if (at < 0).any() or (at >= volume.hu.shape).any():
        return False
    return bool((volume.hu[tuple(at.T)] > PADDING_HU).all())
