"""Results of the measurements of the lumbar spine, frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from worker.pipeline.volume import PointMm

Level = Literal["L1", "L2", "L3", "L4", "L5"]
LEVELS: tuple[Level, ...] = ("L1", "L2", "L3", "L4")
"""The levels that are measured."""


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


class LevelDoubt(StrEnum):
    """Why the level of the vertebrae is uncertain."""

    NO_SACRUM = "no sacrum was found"
    NO_RIB = "no last pair of ribs was found"
    DISAGREE = "sacrum and last ribs give different levels"


@dataclass(frozen=True, slots=True)
class UncertainLevels:
    """Measured lumbar vertebrae whose level is uncertain, from head to feet.

    They have no level on purpose: no limit of a level may be read with them. ``regions`` : not
    empty.
    """

    doubt: LevelDoubt
    regions: tuple[Region, ...]

    @property
    def median_hu(self) -> float:
        """Median of the vertebrae, HU."""
        return median(region.mean_hu for region in self.regions)


@dataclass(frozen=True, slots=True, eq=False)
class SpineView:
    """Pictures of a measured spine, by which a reader can check level and region.

    ``level`` : the vertebra of the axial picture. ``axial_hu`` : (rows, columns) float32, mean
    over the slab of the region, ``axial_mm`` a pixel, rows from front to back, columns to the
    patient's left. ``outline`` : (n, 2) (row, column) of the region in it, pixel centers.
    ``sagittal_hu`` : (rows, columns) float32, the spine straightened along its canal,
    ``sagittal_mm`` a pixel, from head to feet and from front to back. ``middles`` : row of the
    middle of each vertebra in it.
    """

    level: Level
    axial_hu: npt.NDArray[np.float32]
    axial_mm: float
    outline: npt.NDArray[np.float64]
    sagittal_hu: npt.NDArray[np.float32]
    sagittal_mm: float
    middles: Mapping[Level, float]


@dataclass(frozen=True, slots=True)
class Spine:
    """The lumbar vertebrae L1 to L4 of a volume, from head to feet.

    ``vertebrae`` : empty where no level is certain; ``text`` says why then, or by what the
    levels were found. ``uncertain`` : bodies that are measured then, as far as they are clearly
    lumbar. ``view`` : None where no vertebra is measured. ``aorta_hu`` : attenuation
    of the aorta beside the canal, None where it is not seen or no level is certain.
    """

    vertebrae: tuple[Vertebra, ...]
    text: str
    view: SpineView | None = field(default=None, compare=False)
    aorta_hu: float | None = field(default=None, compare=False)
    uncertain: UncertainLevels | None = None


@dataclass(frozen=True, slots=True)
class LimitReading:
    """A measurement read by a published limit.

    ``source`` : author and year with the DOI. ``reading`` : the limit and which side of it the
    value is on. ``why_not`` : why the conditions of the source are not met, None where they
    are. ``author`` : author and year alone. ``is_low`` : whether the rounded value is at or
    under ``limit_hu``. ``meaning`` : the accuracy that the source states.
    """

    source: str
    reading: str
    why_not: str | None
    author: str
    limit_hu: float
    is_low: bool
    meaning: str

    @property
    def holds(self) -> bool:
        """Whether the series meets the conditions of the source."""
        return self.why_not is None


@dataclass(frozen=True, slots=True)
class Conditions:
    """How a series was acquired, as its headers state it; None where they do not.

    ``phase`` : contrast phase, by the aorta where that shows it. ``kernel`` : soft, sharp or
    unknown. ``aorta_hu`` : attenuation of the aorta, None where it is not seen.
    """

    kvp: float | None
    thickness_mm: float | None
    kernel: Literal["soft", "sharp", "unknown"]
    phase: Literal["none", "arterial", "portal", "late", "unknown"]
    aorta_hu: float | None = None


@dataclass(frozen=True, slots=True)
class LumbarMeasurement:
    """One vertebra with the published limits of its level."""

    vertebra: Vertebra
    limits: tuple[LimitReading, ...]


@dataclass(frozen=True, slots=True)
class LumbarMeasurements:
    """The measurements of a series. ``text``, ``uncertain``, ``view`` : see ``Spine``.

    ``measurements`` : of certain levels only.
    ``headers`` : the source data sets of the series without pixels, in the order of the slices.
    """

    measurements: tuple[LumbarMeasurement, ...]
    text: str
    conditions: Conditions
    headers: tuple[Dataset, ...] = field(default=(), compare=False)
    view: SpineView | None = field(default=None, compare=False)
    uncertain: UncertainLevels | None = None

    @property
    def measured(self) -> tuple[tuple[LumbarMeasurement, Region], ...]:
        """The vertebrae that have a certain level and a value, with their regions."""
        found = ((one, one.vertebra.region) for one in self.measurements)
        return tuple((one, region) for one, region in found if isinstance(region, Region))

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions of all measured vertebrae, of certain or uncertain level."""
        uncertain = () if self.uncertain is None else self.uncertain.regions
        return (*(region for _, region in self.measured), *uncertain)

    @property
    def median_hu(self) -> float | None:
        """Median of the measured vertebrae of certain levels, HU; None without one."""
        return median(self.hu.values()) if self.measured else None

    @property
    def hu(self) -> dict[Level, float]:
        """The attenuation of each measured vertebra of a certain level, HU."""
        return {one.vertebra.level: region.mean_hu for one, region in self.measured}

    @property
    def limits_hold(self) -> bool | None:
        """Whether the conditions of all published limits are met, None without a limit."""
        holds = [limit.holds for one, _ in self.measured for limit in one.limits]
        return all(holds) if holds else None

    @property
    def series_instance_uid(self) -> str:
        """The series that was measured."""
        return str(self.headers[0].SeriesInstanceUID) if self.headers else ""
