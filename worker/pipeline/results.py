"""Frozen values that travel from step to step.

Arrays are ``(slices, rows, columns)``; positions are patient LPS in mm as ``(x, y, z)``
(PS3.3 C.7.6.2.1.1); a hip is named by the patient's side, never by the side of the picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

if TYPE_CHECKING:
    from worker.pipeline.acquisition import Envelope
    from worker.pipeline.demographics import Demographics

Side = Literal["R", "L"]
Orientation = Literal["coronal", "axial", "sagittal"]
PointMm = tuple[float, float, float]


class Grade(StrEnum):
    """WHO grades, in order of severity."""

    NORMAL = "normal"
    OSTEOPENIA = "osteopenia"
    OSTEOPOROSIS = "osteoporosis"


class ReasonCode(StrEnum):
    """Why a series is rejected or a hip is not assessable."""

    NOT_CT = "NOT_CT"
    """Not a CT image of the body."""
    LOCALIZER = "LOCALIZER"
    """A scout image, dose report or other non-volume."""
    TOO_FEW_SLICES = "TOO_FEW_SLICES"
    """Fewer than 10 slices."""
    GAPS = "GAPS"
    """Slices missing or spaced unevenly."""
    ORIENTATION = "ORIENTATION"
    """Sagittal, oblique by more than 20°, or gantry tilt."""
    TOO_YOUNG = "TOO_YOUNG"
    """Patient under 18 years."""
    METAL = "METAL"
    """Prosthesis, nail or screws at the hip."""
    NO_FEMUR = "NO_FEMUR"
    """No proximal femur, or not enough of it, in the field of view."""
    MIXED = "MIXED"
    """More than one patient, study, orientation or frame of reference."""
    UNDECODABLE = "UNDECODABLE"
    """Pixel data that cannot be decoded to HU."""
    OUT_OF_DISTRIBUTION = "OUT_OF_DISTRIBUTION"
    """A crop unlike anything the model was trained on."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason code with a sentence for a person (never with patient data)."""

    code: ReasonCode
    text: str


Verdict = Reason | str
"""What a rule says: a reason against, or in a sentence what it found where it is kept."""


@dataclass(frozen=True, slots=True)
class Check:
    """One rule with what it found (never patient data).

    ``code`` : None where the rule is kept; else ``text`` is the sentence of the ``Reason``.
    """

    rule: str
    text: str
    code: ReasonCode | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A series that cannot be graded. A return value of the pipeline, not a failure."""

    series_instance_uid: str
    reason: Reason
    orientation: Orientation | None = None
    hips: "tuple[Hip, ...]" = ()
    """What was found before the series was given up, each hip with its own reason."""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    """The rules of the series that were asked, in their order."""


@dataclass(frozen=True, slots=True)
class PixelData:
    """Where the encoded pixels of one slice lie; nothing of them has been read.

    ``offset`` : first byte of the pixel data element in the file; of no meaning in a deflated
    file. ``frame`` : which frame of the element the slice is, counted from 0.
    """

    path: Path
    transfer_syntax_uid: str
    offset: int
    frame: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """Slices of one CT series, sorted by geometry; pixels are not decoded.

    ``headers[i]`` describes the slice whose pixels lie at ``pixels[i]``: the data set of a
    single-frame image, or what a multi-frame one says of one frame (``frames``).
    ``checks`` : the rules that were asked before there was an order.
    """

    series_instance_uid: str
    pixels: tuple[PixelData, ...]
    headers: tuple[Dataset, ...]
    orientation: Orientation
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Volume:
    """A CT volume in Hounsfield units, axes along (nearly) the patient's.

    ``hu`` : (slices, rows, columns) int16.
    ``affine`` : (4, 4) float64, voxel centre (slice, row, column, 1) → patient LPS mm.
    ``source_sop_uids`` : one SOP Instance UID a slice; empty for a reformatted volume.
    ``source_frames`` : beside each of them the frame number, None of a single-frame image.

    A *coronal* volume is canonical: slices run anterior → posterior, rows head → feet,
    columns patient right → left, as a radiologist looks at it.
    """

    hu: npt.NDArray[np.int16]
    affine: npt.NDArray[np.float64]
    source_sop_uids: tuple[str, ...] = ()
    source_frames: tuple[int | None, ...] = ()

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distances of voxel centres along (slices, rows, columns)."""
        slices, rows, columns = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(slices), float(rows), float(columns)

    def to_mm(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(…, 3) indices (slice, row, column) → (…, 3) patient LPS mm."""
        points = np.asarray(index, dtype=np.float64)
        return np.asarray(points @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, position_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(…, 3) patient LPS mm → (…, 3) fractional indices (slice, row, column)."""
        offset = np.asarray(position_mm, dtype=np.float64) - self.affine[:3, 3]
        return np.asarray(offset @ np.linalg.inv(self.affine[:3, :3]).T)


@dataclass(frozen=True, slots=True)
class Femur:
    """A proximal femur as found: femoral-head sphere, neck centre, confidence 0–1.

    ``neck_axis`` : unit vector from the head into the neck. ``trochanter_mm`` : where that axis
    meets the shaft's, between the trochanters. ``shaft_direction`` : unit vector down the
    shaft. All patient LPS; None where the bone was not seen that far.
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
    ``position_mm`` : centre of voxel (0, 0), patient LPS. ``source_sop_uid`` is None where
    the plane was reformatted; ``source_frame`` counts from 1, None of a single-frame image.
    ``row_direction``, ``column_direction`` : unit vectors in
    which the row and the column index grow, patient LPS; oblique series turn them.
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
        """(…, 2) indices (row, column) of voxel centres → (…, 3) patient LPS mm."""
        steps = np.asarray(index, dtype=np.float64) * (
            self.row_spacing_mm,
            self.column_spacing_mm,
        )
        directions = np.array([self.row_direction, self.column_direction])
        return np.asarray(steps @ directions + self.position_mm)

    def to_index(self, position_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(…, 3) patient LPS mm → (…, 2) fractional (row, column), projected on the plane."""
        offset = np.asarray(position_mm, dtype=np.float64) - self.position_mm
        directions = np.array([self.row_direction, self.column_direction])
        return np.asarray(offset @ directions.T / (self.row_spacing_mm, self.column_spacing_mm))


@dataclass(frozen=True, slots=True)
class HipCrop:
    """250 × 250 px around one femur at the paper's pixel size.

    ``row``, ``col`` : top-left corner of the box on the plane's own grid, in plane pixels
    (fractional, pixel edges: 0.0 is the outer edge of the first pixel).
    ``pixels`` : (250, 250) float32, 0–255 after window and scaling (Ha 2024, Eq. 1–4).
    ``corners_mm`` : the four corners, patient LPS, clockwise from top-left.
    """

    row: float
    col: float
    size_px: int
    pixel_mm: float
    pixels: npt.NDArray[np.float32]
    corners_mm: tuple[PointMm, PointMm, PointMm, PointMm]


@dataclass(frozen=True, slots=True)
class NeckAttenuation:
    """Attenuation of the neck's trabecular bone on the plane, and where it was measured.

    ``mean_hu``, ``sd_hu`` : of the ``pixels`` pixels of the plane whose centres lie inside of
    the outline. ``area_mm2`` : of the outline. ``outline_mm`` : its vertices on the plane,
    patient LPS, the first not repeated.
    """

    mean_hu: float
    sd_hu: float
    area_mm2: float
    pixels: int
    outline_mm: tuple[PointMm, ...]


@dataclass(frozen=True, slots=True)
class NeckUnseen:
    """Why the attenuation of a neck was not measured, as a sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class Hip:
    """The result of one hip: graded, or not assessable with a reason."""

    side: Side
    reason: Reason | None = None
    femur: Femur | None = None
    plane: Plane | None = None
    crop: HipCrop | None = None
    neck: NeckAttenuation | NeckUnseen | None = None
    probabilities: Mapping[Grade, float] | None = None
    grade: Grade | None = None
    heat_map: npt.NDArray[np.float32] | None = None
    """(250, 250) float32, 0–1, on the crop's grid."""
    checks: tuple[Check, ...] = ()
    """The rules of a hip that were asked, in their order."""

    @property
    def state(self) -> Literal["graded", "not_assessable"]:
        """``graded`` as soon as there is a grade."""
        return "graded" if self.grade is not None else "not_assessable"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What every row, SR and SC says about the model."""

    name: str
    version: str
    modality: str
    training_data: str
    sha256: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Classification:
    """What a model says of one crop, in one forward and backward pass.

    ``heat_map`` : (250, 250) float32, 0–1, Grad-CAM of the most probable grade.
    ``familiar`` : whether the crop is in the distribution that the model was trained on.
    """

    probabilities: Mapping[Grade, float]
    heat_map: npt.NDArray[np.float32]
    familiar: Verdict

    @property
    def reason(self) -> Reason | None:
        """Why the crop must not be graded, or None."""
        return self.familiar if isinstance(self.familiar, Reason) else None


class Model(Protocol):
    """A loaded model package (``worker.package.load``)."""

    @property
    def info(self) -> ModelInfo:
        """Identity of the model."""
        ...

    @property
    def envelope(self) -> "Envelope | None":
        """How the training scans were acquired, None where the model does not say."""
        ...

    def for_patient(self, patient: "Demographics") -> "Model":
        """The model with what is known of a patient; ``info`` says what it goes by."""
        ...

    def classify(self, pixels: npt.NDArray[np.float32], side: Side) -> Classification:
        """Grade one crop: (250, 250) float32, 0–255, as the picture shows it."""
        ...


@dataclass(frozen=True, slots=True)
class Screening:
    """One finished run over one series: what SR, SC, ``result.json`` and rows are made of.

    ``headers`` : the source data sets without pixels, sorted as the source was.
    ``hips`` : right first. ``grade`` : patient level, the worse hip; None where neither is
    graded, which the pipeline rejects instead (``Rejected``). ``checks`` : the rules of the
    series; those of a hip are the hip's.
    """

    series_instance_uid: str
    orientation: Orientation
    headers: tuple[Dataset, ...]
    hips: tuple[Hip, ...]
    grade: Grade | None
    model: ModelInfo
    warnings: tuple[str, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()

    @property
    def deciding_hip(self) -> Hip | None:
        """The hip whose grade is the patient's; its plane is the series' slice."""
        graded = (hip for hip in self.hips if hip.grade is not None)
        return next((hip for hip in graded if hip.grade is self.grade), None)
