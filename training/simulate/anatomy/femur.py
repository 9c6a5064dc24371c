"""Proximal femur: head, neck, trochanters, shaft; cortical shell and trabecular core."""

from dataclasses import dataclass

import numpy as np

from training.simulate.anatomy import arthrosis
from training.simulate.anatomy.frames import FemurFrame, femur_frame
from training.simulate.geometry import texture
from training.simulate.geometry.painting import Layer, Part
from training.simulate.geometry.shapes import (
    Array,
    Grid,
    box_of,
    capsule,
    coverage,
    ellipsoid,
    gaussian,
    smooth_min,
    smoothstep,
)
from training.simulate.subject import HipAnatomy, Subject, marrow_enhancement, mineral_contrast

SHAFT_END_MM = -330.0
NECK_MIDDLE = 0.6
"""Middle of the neck as a share of the way from the head's center to the shaft axis."""


@dataclass(frozen=True, slots=True)
class _Bone:
    """A femur at a tube voltage."""

    subject: Subject
    hip: HipAnatomy
    femur: FemurFrame
    kvp: int


def femur_part(subject: Subject, hip: HipAnatomy, kvp: int) -> Part:
    """Return the whole proximal femur as one part."""
    femur = femur_frame(subject, hip)
    bone = _Bone(subject, hip, femur, kvp)
    r = hip.head_radius_mm
    x_end = femur.neck_end_mm[0]
    box = box_of(
        femur.frame,
        (-1.15 * r, -1.5 * r, SHAFT_END_MM),
        (x_end + 1.5 * r, 1.6 * r, 1.15 * r),
    )

    def paint(grid: Grid, width: float) -> Layer:
        p = femur.frame.local(grid)
        distance = outline(p, hip, femur)
        hu = _inside_hu(bone, p, grid, distance, width)
        return coverage(distance, width), hu

    return Part(box, paint)


NECK_SPHERE_MM = 5.0


def neck_attenuation(subject: Subject, hip: HipAnatomy, kvp: int = 120) -> float:
    """Return the mean HU within 5 mm of the neck's middle, without noise and blur."""
    femur = femur_frame(subject, hip)
    x, z = femur.neck_end_mm
    middle = femur.frame.place((NECK_MIDDLE * x, 0.0, NECK_MIDDLE * z))
    steps = np.arange(-NECK_SPHERE_MM, NECK_SPHERE_MM + 0.5, dtype=np.float32)
    dx, dy, dz = steps.reshape(1, 1, -1), steps.reshape(1, -1, 1), steps.reshape(-1, 1, 1)
    grid = (dx + np.float32(middle[0]), dy + np.float32(middle[1]), dz + np.float32(middle[2]))
    p = femur.frame.local(grid)
    distance = outline(p, hip, femur)
    hu = _inside_hu(_Bone(subject, hip, femur, kvp), p, grid, distance, 0.6)
    return float(hu[dx**2 + dy**2 + dz**2 <= NECK_SPHERE_MM**2].mean())


def outline(p: Grid, hip: HipAnatomy, femur: FemurFrame) -> Array:
    """Return the signed distance to the outer surface in the femur's frame."""
    x, y, z = p
    r = hip.head_radius_mm
    end_x, end_z = femur.neck_end_mm
    along, across = _neck_coordinates(p, femur)
    head = arthrosis.flattened(np.sqrt(x * x + y * y + z * z) - r, z, hip)
    on_axis = np.clip(along, 0.0, femur.neck_length_mm)
    flare = (on_axis * (1.0 / femur.neck_length_mm) - 0.45) ** 2
    neck = np.sqrt(across**2 + (y * 1.16) ** 2 + (along - on_axis) ** 2)
    neck -= (hip.neck_width + 0.75 * flare) * r
    depth = end_z - z
    below = np.maximum(depth, 0.0)
    bow = -0.00022 * below * below * np.exp(below * (-1.0 / 220.0))
    above = np.maximum(-depth - 5.0, 0.0)
    shaft = np.sqrt((x - end_x) ** 2 + (y - bow) ** 2 + above**2)
    shaft -= hip.shaft_radius_mm + (0.26 * r) * np.exp(-((below * (1.0 / 38.0)) ** 2))
    g = hip.trochanter * r / 21.6
    crest = (end_x + 8.5 * g, 3.0 * g, end_z + 15.0 * g)
    greater = ellipsoid(p, crest, (13.0 * g, 19.0 * g, 21.0 * g))
    lesser = ellipsoid(p, (end_x - 13.0 * g, 11.0 * g, end_z - 33.0 * g), (10.0, 10.0, 14.0))
    d = smooth_min(smooth_min(head, neck, 5.0), smooth_min(shaft, greater, 7.0), 8.0)
    d = smooth_min(d, lesser, 8.0)
    # The calcar is the medial flare between neck and shaft.
    calcar = capsule(p, (end_x * 0.55, 2.0, end_z * 0.62 - 0.25 * r),
                     (end_x - 6.0, 2.0, end_z - 2.0 * r), (0.42 * r, 0.45 * r))  # fmt: skip
    d = smooth_min(d, calcar, 9.0)
    if hip.arthritis > 0.3:
        rim = np.sqrt((across.clip(-r, r) - across) ** 2 + (along - 0.75 * r) ** 2)
        ring = np.sqrt((np.sqrt(across**2 + y * y) - 0.86 * r) ** 2 + rim**2)
        d = smooth_min(d, ring - arthrosis.osteophyte_mm(across, y, hip), 4.0)
    return d


def _neck_coordinates(p: Grid, femur: FemurFrame) -> tuple[Array, Array]:
    """Return the distance along the neck axis from the head's center, and across it (up)."""
    ax, az = femur.neck_axis
    return p[0] * ax + p[2] * az, p[2] * ax - p[0] * az


def _cortex_mm(p: Grid, hip: HipAnatomy, femur: FemurFrame) -> Array:
    """Return the cortical thickness in mm: thin at the head, thick at calcar and shaft."""
    end_x, end_z = femur.neck_end_mm
    r = hip.head_radius_mm
    along, across = _neck_coordinates(p, femur)
    depth = end_z - p[2]
    shaft = smoothstep(depth, 8.0, 75.0) * (0.33 * hip.shaft_radius_mm)
    low = np.clip(across * (-1.0 / (0.75 * r)), 0.0, 1.0)
    gate = np.exp(-(((along - 0.8 * femur.neck_length_mm) * (1.0 / 17.0)) ** 2))
    calcar = 3.0 * low * low * gate
    medial = gaussian(p, (end_x - 0.8 * r, 0.0, end_z - 0.9 * r), (8.0, 16.0, 20.0)) * 2.4
    thickness = (0.95 + calcar + medial + shaft) * hip.density.cortex_scale
    return np.asarray(np.maximum(thickness, 0.55))


def _trabecular(p: Grid, hip: HipAnatomy, femur: FemurFrame) -> Array:
    """Return the mineral relative to the middle of the neck, where it is 1.0."""
    x, _, z = p
    r = hip.head_radius_mm
    length = femur.neck_length_mm
    end_x, end_z = femur.neck_end_mm
    along, across = _neck_coordinates(p, femur)
    depth = end_z - z
    # Principal compressive group: from the top of the head down to the calcar.
    beam = (x * 0.90 + z * 0.43 + 0.02 * r) * (1.0 / (0.42 * r))
    compressive = np.exp(-(beam * beam)) * smoothstep(along, 1.15 * r, 0.1 * r)
    head = smoothstep(along, 1.05 * r, 0.35 * r)
    # Tensile group: an arch from the lower head along the top of the neck.
    arch = (across - 0.42 * r) * (1.0 / (0.25 * r))
    tensile = np.exp(-(arch * arch)) * smoothstep(along, 1.4 * length, 0.7 * length)
    axis_x, axis_z = femur.neck_axis
    low = (0.86 * length * axis_x - 0.1 * r * axis_z, 0.0, 0.86 * length * axis_z - 0.12 * r)
    wards_triangle = gaussian(p, low, (0.42 * r, 0.7 * r, 0.5 * r))
    trochanter = smoothstep(x, end_x - 0.2 * r, end_x + 0.4 * r)
    relative = 1.0 + 0.45 * head + 0.85 * compressive + 0.25 * tensile
    relative -= 0.72 * wards_triangle + 0.48 * trochanter
    canal = smoothstep(depth, 62.0, 2.0)
    return np.asarray(np.maximum(relative, 0.08) * canal)


def _inside_hu(bone: _Bone, p: Grid, grid: Grid, distance: Array, width: float) -> Array:
    """Return the HU inside the outer surface: trabecular core and cortical shell.

    ``p`` : ``grid`` in the femur's frame. ``distance`` : to the outer surface.
    """
    hip, femur, density, seed = bone.hip, bone.femur, bone.hip.density, bone.subject.seed
    contrast = mineral_contrast(bone.subject, bone.kvp)
    side = 0 if hip.side == "R" else 7
    coarse = texture.noise(grid, seed + side + 1, 3.0, 1.0)
    # Trabeculae follow the load, so the grain is elongated from the head to the calcar.
    across, lengthwise = p[0] * 0.9 + p[2] * 0.43, p[2] * 0.9 - p[0] * 0.43
    fine = texture.at((across, p[1], lengthwise * 0.3), seed + side + 2, 0.75)
    mineral = (density.neck_hu - density.marrow_hu) * _trabecular(p, hip, femur)
    # Texture is coarser with less bone, because thin trabeculae are lost first.
    grain = 0.15 - 0.03 * min(max(hip.t_score, -4.0), 1.0)
    mineral = mineral * (1.0 + grain * (0.6 * coarse + 0.85 * fine))
    marrow = density.marrow_hu + 0.5 * marrow_enhancement(bone.subject, bone.kvp)
    core = mineral * contrast + (marrow + 6.0 * coarse)
    thickness = _cortex_mm(p, hip, femur)
    if hip.arthritis > 0.0:
        thickness = thickness + 2.2 * hip.arthritis * gaussian(
            p, (-0.25 * hip.head_radius_mm, 0.0, 0.95 * hip.head_radius_mm), (16.0, 16.0, 8.0)
        )
    # The inner border of the cortex is a gradient, wider for a thicker cortex.
    softness = width + 0.5 + 0.25 * thickness
    share = np.clip((distance + thickness) / softness + 0.5, 0.0, 1.0)
    cortex = density.cortex_hu * contrast
    hu = np.asarray(core + share * (cortex - core))
    return arthrosis.harden(hu, p, hip, cortex) if arthrosis.excess(hip) else hu
