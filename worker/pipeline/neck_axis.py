"""The axis of the femoral neck, and the values of the volume around it."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from worker.pipeline.neck_outline import Floats
from worker.pipeline.volume import Volume

EVEN_MM = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class NeckAxis:
    """The axis of the neck and the rows along it.

    ``head`` : (3,) center of the head, patient LPS mm. ``along`` : unit vector into the neck.
    ``up`` : unit vector across it, upward in the coronal plane of the patient. ``behind`` :
    unit vector across both, backward. ``along_mm`` : (rows,) distances from the center of the
    head. ``start``, ``stop`` : rows of the section between head and trochanters.
    """

    head: Floats
    along: Floats
    up: Floats
    behind: Floats
    along_mm: Floats
    start: int
    stop: int

    @property
    def section(self) -> slice:
        """The rows between head and trochanters."""
        return slice(self.start, self.stop)

    def points(self, along_mm: Floats, up_mm: Floats, behind_mm: Floats) -> Floats:
        """Return (…, 3) patient LPS mm of broadcast distances along the three directions."""
        return np.asarray(
            self.head
            + along_mm[..., None] * self.along
            + up_mm[..., None] * self.up
            + behind_mm[..., None] * self.behind
        )


def sample(volume: Volume, points_mm: Floats) -> Floats:
    """Return the (…) HU at (…, 3) patient LPS mm, outside those of the nearest voxel.

    Linear interpolation: a spline of higher order swings beside a thick cortex (0035).
    """
    index = np.moveaxis(volume.to_index(points_mm), -1, 0)
    hu = map_coordinates(volume.hu, index, output=np.float64, order=1, mode="nearest")
    return np.asarray(hu)


def sample_evenly(volume: Volume, points_mm: Floats) -> Floats:
    """Return the (…) HU at (…, 3) patient LPS mm as coronal slices of 4 mm would show them.

    A neck is denser near its surfaces, so thick coronal slices read higher in its middle
    (0035). The mean over a slice and the interpolation between slices blur with a variance of
    t² / 12 + t² / 6; what thinner slices lack is added, by Gauss–Hermite quadrature.
    """
    slice_mm = volume.spacing_mm[0]
    sigma_mm = math.sqrt(max(0.0, EVEN_MM**2 - slice_mm**2) / 4)
    step_mm = math.sqrt(3) * sigma_mm * volume.affine[:3, 0] / slice_mm
    sides = sample(volume, points_mm - step_mm) + sample(volume, points_mm + step_mm)
    return sides / 6 + sample(volume, points_mm) * 2 / 3


def encloses(volume: Volume, points_mm: Floats) -> bool:
    """Return whether all of (…, 3) patient LPS mm lie between the centers of voxels."""
    index = volume.to_index(points_mm)
    return bool((index >= 0).all() and (index <= np.array(volume.hu.shape) - 1).all())
