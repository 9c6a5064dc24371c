"""Lumbar spine with a closed canal, sacrum with an endplate, and ribs that begin at it.

Lengths are mm of an average woman and scale with the body. The spine of ``trunk`` has no
closed canal; the cohort of the shipped model was rendered with that.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from training.simulate.anatomy.frames import body_frame
from training.simulate.anatomy.pelvis import sacrum_distance, sacrum_part
from training.simulate.geometry import texture
from training.simulate.geometry.painting import Layer, Part
from training.simulate.geometry.shapes import (
    Array,
    Frame,
    Grid,
    Point,
    box_of,
    box_of_points,
    capsule,
    coverage,
    ellipsoid,
    rotation,
    smooth_max,
    smooth_min,
)
from training.simulate.lumbar import THORACIC, SpineSubject
from training.simulate.subject import marrow_enhancement, mineral_contrast

# Middle of each body (y, z) and its tilt in degrees, from the sacrum upwards; a lordosis.
BODIES = (
    (28.0, 126.0, -18.0), (18.0, 160.0, -8.0), (13.0, 196.0, 0.0), (15.0, 232.0, 6.0),
    (22.0, 267.0, 10.0), (30.0, 300.0, 10.0), (38.0, 331.0, 9.0), (44.0, 361.0, 8.0),
    (49.0, 390.0, 6.0), (53.0, 418.0, 5.0),
)  # fmt: skip
# Half height, half width and half depth of the lowest body, and what each next one has less. A
# body is 0.77–0.82 times as deep as wide on real CT (docs/decisions/0040).
HALF_HEIGHT, HALF_WIDTH, HALF_DEPTH = (13.6, 0.25), (24.0, 0.8), (19.5, 0.4)
POSTERIOR_WALL, CANAL = 16.5, 25.0
# Pelvic tilt turns the sacrum; the lowest vertebrae follow it by these shares.
FOLLOWS_PELVIS = (0.9, 0.7, 0.45, 0.2)
# First sacral body: middle (y, z) and tilt in the frame of the pelvis.
SACRAL = (44.0, 95.5, -38.0)
LEVEL_MM = 33.0
WHOLE_RIB_MM = 112.0
DISC_HU, CANAL_HU = 92.0, 28.0
# Radii of the psoas from L5/L4 upwards, and of the quadratus lumborum.
PSOAS_MM, QUADRATUS_MM = (19.0, 17.0, 14.0, 11.0, 8.0), 11.0


@dataclass(frozen=True, slots=True)
class Vertebra:
    """A vertebra; lengths in mm of the patient, ``frame`` : origin in the body's middle.

    ``mineral`` : relative to the patient's.
    """

    level: str
    frame: Frame
    half_height: float
    half_width: float
    half_depth: float
    mineral: float
    scale: float

    def folded(self, p: Grid) -> Grid:
        """Return local points in mm of an average woman, x folded to one side."""
        s = self.scale
        return np.abs(p[0]) * (1 / s), p[1] * (1 / s), p[2] * (1 / s)

    def body(self, p: Grid) -> Array:
        """Return the signed distance to the body at local points, mm."""
        h, w, d = self.half_height, self.half_width, self.half_depth
        waist = 1.6 * (1.0 - np.minimum((p[2] * (1 / h)) ** 2, 1.0))
        column = np.sqrt((p[0] * (d / w)) ** 2 + p[1] ** 2) - (d - waist)
        column = smooth_max(column, p[1] - POSTERIOR_WALL * self.scale, 3.0)
        return smooth_max(column, np.abs(p[2]) - h, 2.5)


def vertebrae(subject: SpineSubject) -> list[Vertebra]:
    """Return the vertebrae from the sacrum upwards, with a slight scoliosis."""
    rng = np.random.default_rng([subject.seed, 12])
    s, anatomy = subject.body.scale, subject.lumbar
    bend = rng.normal(0, 5.0 + 0.08 * subject.age_years)
    found = []
    for index, (level, (y, z, tilt)) in enumerate(zip(anatomy.levels, BODIES, strict=False)):
        share = FOLLOWS_PELVIS[index] if index < len(FOLLOWS_PELVIS) else 0.0
        bent = rotation(share * subject.pose.pelvic_tilt_deg, 0, 0)
        # Straight at the sacrum, farthest to one side in the middle.
        lateral = bend * s * np.sin(np.pi * index / 9) ** 2
        slope = bend * np.pi / 9 * np.sin(2 * np.pi * index / 9) / LEVEL_MM
        turn = float(np.degrees(np.arctan(slope)))
        frame = body_frame(subject).child(bent, np.zeros(3))
        frame = frame.child(rotation(-tilt, turn, 0), np.array([lateral, y * s, z * s]))
        height, width, depth = (
            first - less * index for first, less in (HALF_HEIGHT, HALF_WIDTH, HALF_DEPTH)
        )
        height *= anatomy.height_shares[index]
        mineral = anatomy.density_shares[index]
        found.append(Vertebra(level, frame, height * s, width * s, depth * s, mineral, s))
    return found


def trabecular_hu(subject: SpineSubject, vertebra: Vertebra, kvp: int) -> float:
    """Return the mean attenuation of the trabecular bone of a body, HU.

    L1 is denser than the femoral neck (Hendrickson 2018: 236 ± 42 HU in young adults).
    """
    marrow = subject.hips[0].density.marrow_hu + 15.0 + marrow_enhancement(subject, kvp)
    return _mineral_hu(subject, vertebra, kvp) + marrow


def _mineral_hu(subject: SpineSubject, vertebra: Vertebra, kvp: int) -> float:
    bone = subject.hips[0].density
    mineral = (1.05 * (bone.neck_hu - bone.marrow_hu) + 20.0) * vertebra.mineral
    return mineral * mineral_contrast(subject, kvp)


def lumbar_parts(subject: SpineSubject, kvp: int) -> list[Part]:
    """Return canal, discs, sacrum, vertebrae and their ribs."""
    spine = vertebrae(subject)
    parts = _muscles(subject, spine[: subject.lumbar.lumbar + 1])
    parts += [_canal(low, high) for low, high in pairwise(spine)]
    parts += [_disc(vertebra) for vertebra in spine]
    parts.append(sacrum_part(subject, kvp, _sacrum))
    parts += [vertebra_part(subject, vertebra, kvp) for vertebra in spine]
    for vertebra in spine[subject.lumbar.lumbar :]:
        reach = subject.lumbar.last_rib_mm if vertebra.level == THORACIC[0] else WHOLE_RIB_MM
        parts.append(_ribs(subject, vertebra, kvp, reach))
    return parts


def _muscles(subject: SpineSubject, spine: list[Vertebra]) -> list[Part]:
    """Return psoas and quadratus lumborum, which keep bowel and kidneys off the spine."""
    size, hu = subject.body.muscle, subject.body.muscle_hu
    return [
        _rod((low, high), (side * x, y, 0.0), radius * size, hu)
        for (low, high), psoas in zip(pairwise(spine), PSOAS_MM, strict=False)
        for side in (-1.0, 1.0)
        for x, y, radius in ((34.0, 4.0, psoas), (46.0, 26.0, QUADRATUS_MM))
    ]


def _canal(low: Vertebra, high: Vertebra) -> Part:
    """Return the contents of the canal between the middles of two vertebrae."""
    return _rod((low, high), (0.0, CANAL, 0.0), 9.0, CANAL_HU)


def _rod(ends: tuple[Vertebra, Vertebra], local: Point, radius: float, hu: float) -> Part:
    """Return a rod between two vertebrae through the same local point of an average woman."""
    scale = ends[0].scale
    points = [each.frame.place(np.array(local) * scale) for each in ends]
    thick = radius * scale

    def paint(grid: Grid, width: float) -> Layer:
        start, end = (point.tolist() for point in points)
        return coverage(capsule(grid, start, end, (thick, thick)), width), hu

    return Part(box_of_points(Frame(np.eye(3), np.zeros(3)), points, thick), paint)


def _disc(vertebra: Vertebra) -> Part:
    reach, w, d = 18.5 * vertebra.scale, vertebra.half_width, vertebra.half_depth
    box = box_of(vertebra.frame, (-w, -d, -reach - 2), (w, d, reach + 2))

    def paint(grid: Grid, width: float) -> Layer:
        p = vertebra.frame.local(grid)
        column: Array = np.sqrt((p[0] * (d / w)) ** 2 + p[1] ** 2) - (d - 1.5)
        column = smooth_max(column, p[1] - POSTERIOR_WALL * vertebra.scale, 3.0)
        return coverage(smooth_max(column, np.abs(p[2]) - reach, 3.0), width), DISC_HU

    return Part(box, paint)


def vertebra_part(subject: SpineSubject, vertebra: Vertebra, kvp: int) -> Part:
    """Return body, arch and processes of a vertebra."""
    levels = subject.lumbar.levels
    processes = partial(
        _processes,
        lumbar=vertebra.level not in THORACIC,
        sacralized=subject.lumbar.sacralized and vertebra.level == levels[0],
    )
    s = vertebra.scale
    box = box_of(vertebra.frame, (-62 * s, -24 * s, -36 * s), (62 * s, 86 * s, 26 * s))
    bone = subject.hips[0].density
    core_hu = trabecular_hu(subject, vertebra, kvp)
    mineral = _mineral_hu(subject, vertebra, kvp)
    cortex = 0.72 * bone.cortex_hu * mineral_contrast(subject, kvp)

    def paint(grid: Grid, width: float) -> Layer:
        p = vertebra.frame.local(grid)
        q = vertebra.folded(p)
        body = vertebra.body(p)
        arch = processes(q) * s
        distance = smooth_min(body, arch, 2.0)
        grain = texture.noise(grid, subject.seed + 5, 1.8, 1.0)
        core = core_hu + 0.17 * mineral * grain
        shell = np.clip((distance + 0.6 + 0.5 * bone.cortex_scale) / (width + 0.8) + 0.5, 0, 1)
        shell = np.where(arch < body, np.minimum(shell + 0.35, 1.0), shell)
        return coverage(distance, width), np.asarray(core + shell * (cortex - core))

    return Part(box, paint)


def _processes(q: Grid, *, lumbar: bool, sacralized: bool) -> Array:
    """Return the distance to pedicles, laminae, facets and processes (x folded).

    Pedicles spring from the upper half of the body; beside the lower half is the foramen.
    """
    pedicle: Array = np.sqrt(((q[0] - 15.5) * (1 / 4.0)) ** 2 + ((q[2] - 5.0) * (1 / 7.0)) ** 2)
    d: Array = smooth_max((pedicle - 1.0) * 4.5, np.abs(q[1] - 20.5) - 11.0, 2.0)
    plate = capsule((q[0], q[1], q[2] * 0), (15.0, 30.5, 0.0), (0.0, 38.5, 0.0), (3.0, 3.0))
    d = smooth_min(d, smooth_max(plate, np.abs(q[2] + 6.0) - 11.0, 2.0), 2.0)
    d = smooth_min(d, ellipsoid(q, (17.5, 33.5, 13.0), (4.5, 4.5, 9.0)), 2.0)
    d = smooth_min(d, ellipsoid(q, (14.0, 38.0, -18.0), (4.5, 4.5, 9.0)), 2.0)
    end = (41.0, 34.5, 6.0) if lumbar else (27.0, 39.5, 6.0)
    d = smooth_min(d, capsule(q, (18.0, 28.5, 4.0), end, (4.0, 3.0)), 3.0)
    if sacralized:
        wing = capsule(q, (24.0, 14.0, -4.0), (56.0, 24.0, -8.0), (11.0, 11.0))
        d = smooth_min(d, wing, 3.0)
    return smooth_min(d, ellipsoid(q, (0.0, 55.5, -10.0), (3.5, 18.0, 9.0)), 3.0)


def _ribs(subject: SpineSubject, vertebra: Vertebra, kvp: int, reach: float) -> Part:
    """Return the pair of ribs of a vertebra; ``reach`` : from the middle."""
    s = vertebra.scale
    # Head and neck beside the body, angle behind, then outwards and down.
    points = np.array([(19.0, 12.0, 8.0), (30.0, 32.0, 6.0), (52.0, 46.0, -2.0),
                       (82.0, 48.0, -16.0), (112.0, 30.0, -34.0)])  # fmt: skip
    box = box_of(vertebra.frame, (-120 * s, 0, -45 * s), (120 * s, 60 * s, 20 * s))
    cortex = 0.6 * subject.hips[0].density.cortex_hu * mineral_contrast(subject, kvp)

    def paint(grid: Grid, width: float) -> Layer:
        q = vertebra.folded(vertebra.frame.local(grid))
        rods = [capsule(q, a, b, (4.5, 4.5)) for a, b in pairwise(points.tolist())]
        distance = np.maximum(np.minimum.reduce(rods), q[0] - reach) * s
        hollow = np.clip((distance + 1.6) / (width + 0.6) + 0.5, 0, 1)
        return coverage(distance, width), np.asarray(90.0 + hollow * (cortex - 90.0))

    return Part(box, paint)


def _sacrum(q: Grid) -> Array:
    """Return the distance to a sacrum with a flat endplate, under which a disc lies.

    ``q`` : frame of the pelvis, x folded.
    """
    y, z, tilt = SACRAL
    p = Frame(rotation(-tilt, 0, 0), np.array([0.0, y, z])).local(q)
    column = np.sqrt((p[0] * (16.0 / 25.0)) ** 2 + p[1] ** 2) - 15.5
    body = smooth_max(smooth_max(column, p[1] - 13.0, 3.0), np.abs(p[2]) - 12.5, 2.5)
    canal = (0.0, 62.0, 109.0), (0.0, 86.0, 56.0)
    d = smooth_min(sacrum_distance(q), capsule(q, *canal, (14.0, 11.0)), 4.0)
    d = smooth_min(body, smooth_max(d, p[2] - 12.5, 2.0), 4.0)
    d = smooth_min(d, ellipsoid(q, (19.0, 71.0, 107.0), (4.5, 5.0, 9.0)), 2.0)
    return np.maximum(d, -capsule(q, *canal, (8.5, 6.0)))
