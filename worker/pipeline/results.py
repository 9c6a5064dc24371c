"""Results of a screening, frozen.

Axes and frames of reference are those of ``volume``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from worker.pipeline.acquisition import Envelope
from worker.pipeline.demographics import Demographics
from worker.pipeline.header_values import source_header
from worker.pipeline.lumbar_results import LumbarMeasurements
from worker.pipeline.reasons import Check, Reason, RuleResult
from worker.pipeline.volume import Femur, Orientation, Plane, PointMm, Side


class Grade(StrEnum):
    """WHO grades, from the mildest to the most severe."""

    NORMAL = "normal"
    OSTEOPENIA = "osteopenia"
    OSTEOPOROSIS = "osteoporosis"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A series that cannot be graded. A return value of the pipeline, not a failure."""

    series_instance_uid: str
    reason: Reason
    orientation: Orientation | None = None
    hips: "tuple[Hip, ...]" = ()
    """The hips where the search for femurs was reached, each with its own reason."""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    """The rules of the series that were applied, in order."""
    lumbar: LumbarMeasurements | None = None
    """Measurements of the lumbar spine, None where the search for it was not reached."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A series whose screening ended with an error. ``error`` : free of patient data."""

    series_instance_uid: str
    error: str


@dataclass(frozen=True, slots=True)
class HipCrop:
    """250 × 250 px around one femur at the paper's pixel size, the size of the model's input.

    ``row``, ``col`` : top-left corner of the box on the plane's own grid, in plane pixels
    (fractional, pixel edges: 0.0 is the outer edge of the first pixel).
    ``pixels`` : (250, 250) float32, 0–255 after window and scaling (Ha 2024, Eq. 1–4).
    ``corners_mm`` : the four corners, patient LPS, clockwise from top-left.
    ``femur_mm`` : (250, 250) float32, signed distances of the pixels from the finder's femur,
    mm, negative inside (``femur_shape.femur_distance``).
    """

    row: float
    col: float
    size_px: int
    pixel_mm: float
    pixels: npt.NDArray[np.float32]
    corners_mm: tuple[PointMm, PointMm, PointMm, PointMm]
    femur_mm: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class GradedCrops:
    """Crops of the parallel cuts through one femur, whose mean gives the grade.

    ``pixels``, ``femur_mm`` : (n, 250, 250) float32, as in ``HipCrop``.
    ``cosine`` : of the angle by which the cuts are turned from the plane that is shown.
    """

    pixels: npt.NDArray[np.float32]
    femur_mm: npt.NDArray[np.float32]
    cosine: float


@dataclass(frozen=True, slots=True)
class NeckAttenuation:
    """Attenuation of the neck's trabecular bone in a region of the volume.

    ``mean_hu``, ``sd_hu`` : over the region, which has ``volume_mm3``. ``outline_mm`` :
    vertices of its outline on the plane (projected along the plane's normal), patient LPS, the
    first not repeated. ``area_mm2`` : area of the outline.
    """

    mean_hu: float
    sd_hu: float
    area_mm2: float
    volume_mm3: float
    outline_mm: tuple[PointMm, ...]


NECK_METHOD = "volume"
"""``neck_method`` in ``result.json``. Values of another method are not comparable; results of
versions before this one have none (docs/decisions/0035-neck-in-the-volume.md)."""


@dataclass(frozen=True, slots=True)
class NeckNotMeasured:
    """A sentence that says why the attenuation of a neck was not measured."""

    text: str


@dataclass(frozen=True, slots=True)
class Hip:
    """The result of one hip: graded, or not assessable with a reason."""

    side: Side
    reason: Reason | None = None
    femur: Femur | None = None
    plane: Plane | None = None
    crop: HipCrop | None = None
    """Crop of ``plane``, which is shown."""
    graded: GradedCrops | None = None
    neck: NeckAttenuation | NeckNotMeasured | None = None
    probabilities: Mapping[Grade, float] | None = None
    grade: Grade | None = None
    image_grade: Grade | None = None
    """The grade without demographics, where the model used them."""
    heat_map: npt.NDArray[np.float32] | None = None
    """(250, 250) float32, 0–1, on the grid of ``crop``."""
    checks: tuple[Check, ...] = ()
    """The rules of the hip that were applied, in order."""
    series_instance_uid: str = ""
    """The series that shows the hip."""
    outline_mm: tuple[PointMm, ...] | None = None
    """Vertices around the femur on the plane, patient LPS, the first not repeated."""

    @property
    def state(self) -> Literal["graded", "not_assessable"]:
        """``graded`` where there is a grade."""
        return "graded" if self.grade is not None else "not_assessable"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Identity of a model, as written into every database row, SR and SC."""

    name: str
    version: str
    modality: str
    training_data: str
    sha256: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Classification:
    """The output of a model for the crops of one hip.

    ``heat_map`` : (250, 250) float32, 0–1, Grad-CAM of the most probable grade.
    ``in_distribution`` : result of the rule that the crop is like the training data.
    ``image_grade`` : most probable grade of the crop alone, where demographics were used.
    """

    probabilities: Mapping[Grade, float]
    heat_map: npt.NDArray[np.float32]
    in_distribution: RuleResult
    image_grade: Grade | None = None

    @property
    def reason(self) -> Reason | None:
        """The reason against grading the crop, or None."""
        return self.in_distribution if isinstance(self.in_distribution, Reason) else None


MEASUREMENT = ModelInfo(
    name="osteoscreen-lumbar",
    version="1",
    modality="measurement",
    training_data="none: geometry, no training",
    sha256="",
    simulated=False,
)
"""Algorithm of a result without a grade: it rests on the measurements, not on a model.

Raise the version when the levels or the regions of the lumbar spine change.
"""


class Model(Protocol):
    """A loaded model package (``worker.pipeline.model.package.load``)."""

    @property
    def info(self) -> ModelInfo:
        """Identity of the model."""
        ...

    @property
    def envelope(self) -> Envelope | None:
        """Acquisition of the training scans, None where the package does not describe it."""
        ...

    def for_patient(self, patient: Demographics) -> "Model":
        """Return the model for one patient; its ``info`` names the inputs that it uses."""
        ...

    def classify(
        self,
        pixels: npt.NDArray[np.float32],
        side: Side,
        femur_mm: npt.NDArray[np.float32] | None = None,
    ) -> Classification:
        """Grade one crop, (250, 250), or parallel ones, (n, 250, 250) (``GradedCrops``).

        ``pixels`` : float32, 0–255, not mirrored. ``femur_mm`` : of the same shape, mm.
        """
        ...


@dataclass(frozen=True, slots=True)
class Screening:
    """One finished run over one series, the source of SR, SC, ``result.json`` and rows.

    ``headers`` : the source data sets without pixels, in the order of the slices; those of two
    series where the result is put together from them (``compose``).
    ``hips`` : right first. ``grade`` : that of the patient, from the worse hip; None where
    neither is graded and the lumbar spine is measured; ``model`` is ``MEASUREMENT`` then.
    ``checks`` : the rules of the series; each hip holds its own.
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
    lumbar: LumbarMeasurements | None = None

    @property
    def source(self) -> Dataset:
        """The header from which SR and SC take the attributes of patient and study."""
        return source_header(self.headers)

    @property
    def all_headers(self) -> tuple[Dataset, ...]:
        """The headers of all series of the result, those of the hips first."""
        lumbar = () if self.lumbar is None or not self.lumbar.regions else self.lumbar.headers
        known = {str(ds.SeriesInstanceUID) for ds in self.headers}
        others = (ds for ds in lumbar if str(ds.SeriesInstanceUID) not in known)
        return (*self.headers, *others)

    @property
    def is_composed(self) -> bool:
        """Whether the graded hips are of two series."""
        return len({hip.series_instance_uid for hip in self.hips if hip.grade is not None}) > 1

    def headers_of(self, hip: Hip) -> tuple[Dataset, ...]:
        """Return the headers of the series that shows a hip."""
        if not self.is_composed:
            return self.headers
        uid = hip.series_instance_uid
        return tuple(ds for ds in self.headers if str(ds.SeriesInstanceUID) == uid)

    @property
    def deciding_hip(self) -> Hip | None:
        """The hip whose grade is the patient's; its plane is the slice of the series."""
        graded = (hip for hip in self.hips if hip.grade is not None)
        return next((hip for hip in graded if hip.grade is self.grade), None)
