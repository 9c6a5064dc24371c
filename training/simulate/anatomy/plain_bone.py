"""Bones without a specific model: a thin cortex over cancellous bone."""

from collections.abc import Callable

import numpy as np

from training.simulate.geometry.painting import Layer, Part
from training.simulate.geometry.shapes import Array, Frame, Grid, Point, box_of, coverage
from training.simulate.subject import Subject, mineral_contrast


def plain_bone(
    subject: Subject, frame: Frame, ends: tuple[Point, Point], shape: Callable[[Grid], Array],
    kvp: int,
) -> Part:  # fmt: skip
    """Return a bone; ``shape`` (signed distance) and ``ends`` (box) are of an average woman."""
    s, density = subject.body.scale, subject.hips[0].density
    contrast = mineral_contrast(subject, kvp)
    cortex = 0.85 * density.cortex_hu * contrast
    core = density.marrow_hu + 1.1 * (density.neck_hu - density.marrow_hu) * contrast
    low, high = ([v * s for v in end] for end in ends)

    def paint(grid: Grid, width: float) -> Layer:
        x, y, z = frame.local(grid)
        distance = shape((x * (1 / s), y * (1 / s), z * (1 / s))) * s
        shell = np.clip((distance + 1.2) / (width + 0.8) + 0.5, 0.0, 1.0)
        return coverage(distance, width), np.asarray(core + shell * (cortex - core))

    return Part(box_of(frame, low, high), paint)
