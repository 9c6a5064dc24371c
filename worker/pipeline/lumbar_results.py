"""Results of the measurements of the lumbar spine, frozen."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from worker.pipeline.volume import PointMm

Level = Literal["L1", "L2", "L3", "L4", "L5"]


class NotMeasured(StrEnum):
    """Why the attenuation of a vertebra is not measured."""

    OUT_OF_VIEW = "The body is not completely in the field of view."
    NO_OUTLINE = "The outline of the body cannot be seen."
    METAL = "There is metal in the vertebra or beside it."
    DENSE = "There is cement, a cage or dense bone in the body."
    COMPRESSED = "The body is lower than its neighbors: a compression fracture is possible."
    IMPLAUSIBLE = "The attenuation is not that of trabecular bone."


@dataclass(frozen=True, slots=True)
class Region:
    """An ellipse of trabecular bone in an axial plane of the patient.

    ``mean_hu``, ``sd_hu`` : over points of a slab of 5 mm. ``center_mm`` : patient LPS.
    ``outline_mm`` : vertices, patient LPS, the first not repeated. ``half_axes_mm`` : to the
    left and backward.
    """

    mean_hu: float
    sd_hu: float
    area_mm2: float
    center_mm: PointMm
    half_axes_mm: tuple[float, float]
    outline_mm: tuple[PointMm, ...]


@dataclass(frozen=True, slots=True)
class Vertebra:
    """One lumbar vertebra, measured or with a reason why not."""

    level: Level
    region: Region | NotMeasured


@dataclass(frozen=True, slots=True)
class Spine:
    """The lumbar vertebrae L1 to L4 of a volume, from head to feet.

    ``vertebrae`` : empty where no level is certain; ``text`` says why then, or by what the
    levels were found.
    """

    vertebrae: tuple[Vertebra, ...]
    text: str


@dataclass(frozen=True, slots=True)
class LimitReading:
    """A measurement read by a published limit.

    ``source`` : author and year with the DOI. ``reading`` : the limit and which side of it the
    value is on. ``why_not`` : why the conditions of the source are not met, None where they
    are.
    """

    source: str
    reading: str
    why_not: str | None

    @property
    def holds(self) -> bool:
        """Whether the series meets the conditions of the source."""
        return self.why_not is None


@dataclass(frozen=True, slots=True)
class Conditions:
    """How a series was acquired, as its headers state it; None where they do not.

    ``phase`` : contrast phase. ``kernel`` : soft, sharp or unknown.
    """

    kvp: float | None
    thickness_mm: float | None
    kernel: Literal["soft", "sharp", "unknown"]
    phase: Literal["none", "arterial", "portal", "late", "unknown"]


@dataclass(frozen=True, slots=True)
class LumbarMeasurement:
    """One vertebra with the published limits of its level."""

    vertebra: Vertebra
    limits: tuple[LimitReading, ...]


@dataclass(frozen=True, slots=True)
class LumbarMeasurements:
    """The measurements of a series. ``text`` : see ``Spine``."""

    measurements: tuple[LumbarMeasurement, ...]
    text: str
    conditions: Conditions
