"""Series, volumes, planes and femurs with their positions in the patient.

Arrays are ``(slices, rows, columns)``; positions are patient LPS in mm as ``(x, y, z)``
(PS3.3 C.7.6.2.1.1). The side of a hip is the patient's, not that of the picture.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from worker.pipeline.reasons import Check

Side = Literal["R", "L"]
Orientation = Literal["coronal", "axial", "sagittal"]
PointMm = tuple[float, float, float]
Box = tuple[slice, slice, slice]
"""Part of a volume, (slices, rows, columns)."""

AIR_HU = -1024
"""HU of air, and of positions outside a volume or plane."""


def to_point(position: npt.NDArray[np.float64]) -> PointMm:
    """Return a (3,) array as a tuple of floats."""
    x, y, z = (float(value) for value in position)
    return x, y, z


@dataclass(frozen=True, slots=True)
class PixelData:
    """Location of the encoded pixels of one slice.

    ``offset`` : first byte of the pixel data element in the file, unused for a deflated file.
    ``frame`` : index of the frame in the element, counted from 0.
    """

    path: Path
    transfer_syntax_uid: str
    offset: int
    frame: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """Slices of one CT series, sorted by geometry; pixels are not decoded.

    ``headers[i]`` describes the slice whose pixels lie at ``pixels[i]``: the data set of a
    single-frame image, or one frame of a multi-frame image (``frames``).
    ``checks`` : the rules that were applied before the slices were sorted.
    """

    series_instance_uid: str
    pixels: tuple[PixelData, ...]
    headers: tuple[Dataset, ...]
    orientation: Orientation
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class AcquiredSlices:
    """Small copies of the slices of a series as they were acquired, in its order.

    ``thumbnails`` : (slices, rows, columns) float32 HU. ``names`` : SOP Instance UID of each,
    with the frame number in a multi-frame image. ``kvp`` : lowest tube voltage in kV, None
    where an image states none or is monoenergetic.
    """

    thumbnails: npt.NDArray[np.float32]
    names: tuple[str, ...]
    kvp: float | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """A CT volume in Hounsfield units, axes along (nearly) the patient's.

    ``hu`` : (slices, rows, columns) int16.
    ``affine`` : (4, 4) float64, voxel center (slice, row, column, 1) → patient LPS mm.
    ``source_sop_uids`` : one SOP Instance UID a slice; empty for a reformatted volume.
    ``source_frames`` : frame number of each of them, None for a single-frame image.
    ``acquired`` : the slices that it was made of, None where it was not read from files.

    A *coronal* volume is canonical: slices run anterior → posterior, rows head → feet,
    columns patient right → left, the radiological convention.
    """

    hu: npt.NDArray[np.int16]
    affine: npt.NDArray[np.float64]
    source_sop_uids: tuple[str, ...] = ()
    source_frames: tuple[int | None, ...] = ()
    acquired: AcquiredSlices | None = None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distances of voxel centers along (slices, rows, columns)."""
        slices, rows, columns = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(slices), float(rows), float(columns)

    def to_mm(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Convert (…, 3) indices (slice, row, column) to (…, 3) patient LPS mm."""
        points = np.asarray(index, dtype=np.float64)
        return np.asarray(points @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, position_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Convert (…, 3) patient LPS mm to (…, 3) fractional indices (slice, row, column)."""
        offset = np.asarray(position_mm, dtype=np.float64) - self.affine[:3, 3]
        return np.asarray(offset @ np.linalg.inv(self.affine[:3, :3]).T)

    def box_around(self, points_mm: npt.ArrayLike, margin_mm: float = 0.0) -> Box:
        """Return the part of ``hu`` that encloses (n, 3) patient LPS mm and a margin."""
        index = self.to_index(points_mm)
        margin = margin_mm / np.array(self.spacing_mm)
        low = np.clip(np.floor(index.min(axis=0) - margin), 0, self.hu.shape).astype(int)
        high = np.clip(np.ceil(index.max(axis=0) + margin) + 1, 0, self.hu.shape).astype(int)
        slices, rows, columns = map(slice, low.tolist(), high.tolist())
        return slices, rows, columns


@dataclass(frozen=True, slots=True)
class Femur:
    """A proximal femur: sphere of the head, center of the neck, confidence 0–1.

    ``neck_axis`` : unit vector from the head into the neck. ``trochanter_mm`` : where that axis
    meets that of the shaft, between the trochanters. ``shaft_direction`` : unit vector down the
    shaft. All patient LPS; None where that part of the bone was not found.
    """

    side: Side
    center_mm: PointMm
    radius_mm: float
    neck_mm: PointMm
    confidence: float
    neck_axis: PointMm | None = None
    trochanter_mm: PointMm | None = None
    shaft_direction: PointMm | None = None


@dataclass(frozen=True, slots=True)
class Plane:
    """One coronal plane of the canonical volume.

    ``index`` : slice of the coronal volume. ``hu`` : (rows, columns) int16.
    ``position_mm`` : center of voxel (0, 0), patient LPS. ``source_sop_uid`` : None where
    the plane was reformatted. ``source_frame`` : counted from 1, None for a single-frame image.
    ``row_direction``, ``column_direction`` : unit vectors of growing row and column index,
    patient LPS; they differ from the patient's axes in oblique series.
    """

    index: int
    hu: npt.NDArray[np.int16]
    position_mm: PointMm
    row_spacing_mm: float
    column_spacing_mm: float
    source_sop_uid: str | None
    row_direction: PointMm = (0.0, 0.0, -1.0)
    column_direction: PointMm = (1.0, 0.0, 0.0)
    source_frame: int | None = None

    def to_mm(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Convert (…, 2) indices (row, column) of voxel centers to (…, 3) patient LPS mm."""
        steps = np.asarray(index, dtype=np.float64) * (
            self.row_spacing_mm,
            self.column_spacing_mm,
        )
        directions = np.array([self.row_direction, self.column_direction])
        return np.asarray(steps @ directions + self.position_mm)

    def to_index(self, position_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Project (…, 3) patient LPS mm on the plane as (…, 2) fractional (row, column)."""
        offset = np.asarray(position_mm, dtype=np.float64) - self.position_mm
        directions = np.array([self.row_direction, self.column_direction])
        return np.asarray(offset @ directions.T / (self.row_spacing_mm, self.column_spacing_mm))
