"""The spine, straightened along its canal."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline.femurs.grid import Floats32, Grid
from worker.pipeline.spine.canal import Canal

STEP_MM = 2.0
# A curve over less than this is that of the path, not of the spine.
TANGENT_MM = 10.0
# Extent of the picture around the canal, behind and to each side.
FRONT_MM, BEHIND_MM, SIDE_MM = 50.0, 50.0, 90.0
# The canal of the sacrum is narrow and open; its upper part is looked at on this length.
BELOW_MM = 24.0
OUTSIDE_HU = -200.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Planes across the canal, from head to feet, ``STEP_MM`` apart.

    ``grid`` : the grid that it was sampled from. ``centers`` : (planes, 3) centers of the
    canal, grid mm. ``down``, ``behind``, ``left`` : (planes, 3) unit vectors. ``hu`` :
    (planes, behind, left), ``STEP_MM`` a voxel, at ``behind_mm`` and ``left_mm`` from the
    canal; ``OUTSIDE_HU`` outside of the grid.
    """

    grid: Grid
    centers: Floats
    down: Floats
    behind: Floats
    left: Floats
    hu: Floats32
    behind_mm: Floats
    left_mm: Floats

    def box(self, behind: tuple[float, float], left: tuple[float, float]) -> Floats32:
        """Return the (planes, …, …) HU of a box of mm around the canal."""
        rows = (self.behind_mm >= behind[0]) & (self.behind_mm <= behind[1])
        columns = (self.left_mm >= left[0]) & (self.left_mm <= left[1])
        return np.asarray(self.hu[:, rows][:, :, columns])

    def place(self, along_mm: float, behind_mm: float = 0.0, left_mm: float = 0.0) -> Floats:
        """Return (3,) patient LPS mm of a position along, behind and left of the canal."""
        index = along_mm / STEP_MM
        planes = np.arange(len(self.centers))

        def at(values: Floats) -> Floats:
            return np.array([np.interp(index, planes, axis) for axis in values.T])

        place = at(self.centers) + behind_mm * at(self.behind) + left_mm * at(self.left)
        return self.grid.to_patient(place)


def straighten(grid: Grid, canal: Canal) -> Column | None:
    """Sample planes across the canal; None where it is shorter than a tangent needs."""
    if len(canal.centers) * grid.voxel_mm[1] < 2 * TANGENT_MM:
        return None
    path = _extended(canal.centers)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    along = np.arange(0.0, length[-1], STEP_MM)
    centers = np.stack([np.interp(along, length, axis) for axis in path.T], axis=1)
    smooth = ndimage.gaussian_filter1d(centers, TANGENT_MM / STEP_MM, axis=0, mode="nearest")
    down = _unit(np.gradient(smooth, axis=0))
    left = _unit(np.array([0.0, 0.0, 1.0]) - down * down[:, 2:])
    behind = np.cross(left, down)
    behind *= np.sign(behind[:, :1])
    behind_mm = np.arange(-FRONT_MM, BEHIND_MM + 1, STEP_MM)
    left_mm = np.arange(-SIDE_MM, SIDE_MM + 1, STEP_MM)
    # (planes, behind, left, 3)
    points = (
        centers[:, None, None]
        + behind_mm[:, None, None] * behind[:, None, None]
        + left_mm[:, None] * left[:, None, None]
    )
    hu = np.nan_to_num(grid.interpolate(points), nan=OUTSIDE_HU)
    return Column(grid, centers, down, behind, left, hu, behind_mm, left_mm)


def _extended(centers: Floats) -> Floats:
    """Return a path with a straight piece of ``BELOW_MM`` at its lower end."""
    step = _unit(centers[-1:] - centers[-round(TANGENT_MM / STEP_MM)])
    further = np.arange(1, round(BELOW_MM / STEP_MM) + 1)[:, None] * step * STEP_MM
    return np.concatenate([centers, centers[-1] + further])


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
