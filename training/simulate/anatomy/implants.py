"""Metal implants of the hip, and the streaks that they cause in axial planes."""

from collections.abc import Callable

import numpy as np

from training.simulate.anatomy.frames import FemurFrame, femur_frame, hip_frame
from training.simulate.geometry import texture
from training.simulate.geometry.painting import Layer, Part
from training.simulate.geometry.shapes import (
    Array,
    Frame,
    Grid,
    Matrix,
    box_of,
    box_of_points,
    capsule,
    coverage,
    smoothstep,
)
from training.simulate.subject import HipAnatomy, Subject

METAL_HU = 6000.0
"""Above the range of a 12-bit scanner; the image is clipped at 3071 HU."""


def implant_parts(subject: Subject, hip: HipAnatomy) -> list[Part]:
    """Return the metal of one hip in painting order; empty without an implant."""
    if hip.implant is None:
        return []
    femur = femur_frame(subject, hip)
    x, z = femur.neck_end_mm
    r = hip.head_radius_mm
    if hip.implant == "prosthesis":
        cup = _cup(hip_frame(subject, hip.side), r)
        head = _rod(femur, (0.0, 0.0, 0.0), (0.0, 0.0, 0.1), (0.66 * r, 0.66 * r))
        neck = _rod(femur, (0.0, 0.0, 0.0), (0.85 * x, 0.0, 0.85 * z), (6.0, 8.0))
        stem = _rod(femur, (x - 2.0, 0.0, z + 6.0), (x, 0.0, z - 125.0), (11.0, 5.0))
        return [_resected(femur, hip), cup, head, neck, stem]
    screw = _rod(femur, (0.12 * x, 0.0, 0.12 * z), (1.35 * x, 0.0, 1.35 * z), (5.2, 5.2))
    if hip.implant == "nail":
        nail = _rod(femur, (x + 4.0, 3.0, z + 24.0), (x, 0.0, z - 190.0), (7.0, 5.5))
        return [nail, screw]
    return [screw] + [
        _rod(femur, (0.2 * x, dy, 0.2 * z + dz), (1.4 * x, dy, 1.4 * z + dz), (3.4, 3.4))
        for dy, dz in ((7.0, 5.0), (-6.0, -7.0))
    ]


def _rod(
    femur: FemurFrame,
    start: tuple[float, float, float],
    end: tuple[float, float, float],
    radii: tuple[float, float],
) -> Part:
    def paint(grid: Grid, width: float) -> Layer:
        return coverage(capsule(femur.frame.local(grid), start, end, radii), width), METAL_HU

    return Part(box_of_points(femur.frame, [start, end], max(radii)), paint)


def _cup(frame: Frame, head_radius: float) -> Part:
    """Return the acetabular component: half a shell that opens as the socket does."""
    outer = head_radius + 4.0

    def paint(grid: Grid, width: float) -> Layer:
        x, y, z = frame.local(grid)
        away = np.sqrt(x * x + y * y + z * z)
        shell = np.maximum(away - outer, outer - 5.0 - away)
        shell = np.maximum(shell, x * 0.68 - y * 0.30 - z * 0.67 - 4.0)
        return coverage(shell, width), METAL_HU

    return Part(box_of(frame, (-outer,) * 3, (outer,) * 3), paint)


def _resected(femur: FemurFrame, hip: HipAnatomy) -> Part:
    """Return polyethylene and soft tissue in the place of the resected head."""
    r = hip.head_radius_mm + hip.joint_gap_mm

    def paint(grid: Grid, width: float) -> Layer:
        x, y, z = femur.frame.local(grid)
        ball = np.sqrt(x * x + y * y + z * z) - r
        return coverage(ball, width), 70.0

    return Part(box_of(femur.frame, (-r,) * 3, (r,) * 3), paint)


def streak_field(subject: Subject) -> Callable[[Grid], Array] | None:
    """Return the HU to add around metal, dark and bright rays in axial planes; None without."""
    fields = [_streaks(subject, hip) for hip in subject.hips if hip.implant is not None]
    if not fields:
        return None
    return lambda grid: np.asarray(sum(field(grid) for field in fields))


def _streaks(subject: Subject, hip: HipAnatomy) -> Callable[[Grid], Array]:
    femur = femur_frame(subject, hip)
    x, z = femur.neck_end_mm
    reach: dict[str, tuple[float, float]] = {
        "prosthesis": (25.0, z - 130.0),
        "nail": (z + 25.0, z - 190.0),
        "screws": (5.0, z - 12.0),
    }
    high, low = reach[hip.implant or "prosthesis"]
    strength = {"prosthesis": 1.0, "nail": 0.6, "screws": 0.4}[hip.implant or "prosthesis"]
    head: Matrix = femur.frame.place((0.2 * x, 0.0, 0.0))
    foot: Matrix = femur.frame.place((x, 0.0, low))
    seed = subject.seed + (51 if hip.side == "R" else 52)

    def field(grid: Grid) -> Array:
        level = (grid[2] - float(head[2])) * (1.0 / float(foot[2] - head[2]))
        level = np.clip(level, 0.0, 1.0)
        dx = grid[0] - (float(head[0]) + level * float(foot[0] - head[0]))
        dy = grid[1] - (float(head[1]) + level * float(foot[1] - head[1]))
        away = np.sqrt(dx * dx + dy * dy) + 6.0
        # A random field looked up on a circle is a random function of the angle.
        circle = (
            dx / away * 40.0,
            dy / away * 40.0,
            np.broadcast_to(grid[2] * 0.6, away.shape),
        )
        rays = texture.at(circle, seed, 4.0)
        height = grid[2] - float(head[2])
        gate = smoothstep(height, low - 12.0, low + 4.0) * smoothstep(height, high + 14.0, high)
        # Photon starvation is strongest along the long path from side to side.
        dark = -350.0 * np.exp(-((dy * (1 / 13.0)) ** 2))
        return np.asarray(gate * strength * np.exp(away * (-1 / 75.0)) * (420.0 * rays + dark))

    return field
