"""Share of a ring around each voxel of an axial level that meets a condition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.pipeline.femurs.grid import Floats32

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ring:
    """Places around a voxel: ``radii_mm`` in each of ``directions``."""

    radii_mm: tuple[float, ...]
    directions: int
    voxel_mm: float

    @property
    def reach(self) -> int:
        """Voxels by which the ring reaches beyond its middle, rounded up."""
        return int(max(self.radii_mm) / self.voxel_mm) + 1

    def share(self, padded: npt.NDArray[Any], meets: Callable[[Any], Flags]) -> Floats32:
        """Return the share of directions, 0–1, in which one of the places meets a condition.

        ``padded`` : (levels, rows, columns) with ``reach`` more voxels on each side of rows and
        columns. ``meets`` : takes the values of one place for all voxels and returns as many
        flags.
        """
        reach, (levels, rows, columns) = self.reach, padded.shape
        rows, columns = rows - 2 * reach, columns - 2 * reach
        met_in = np.zeros((levels, rows, columns), np.float32)
        for angle in np.arange(self.directions) * 2 * np.pi / self.directions:
            met = np.zeros(met_in.shape, bool)
            for radius in self.radii_mm:
                row = reach + round(float(np.sin(angle)) * radius / self.voxel_mm)
                column = reach + round(float(np.cos(angle)) * radius / self.voxel_mm)
                met |= meets(padded[:, row : row + rows, column : column + columns])
            met_in += met
        return met_in / np.float32(self.directions)
