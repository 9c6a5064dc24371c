"""The measurement groups of the SR: TID 1410 of each measured lumbar vertebra."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from highdicom.sr import TrackingIdentifier
from highdicom.sr.value_types import ContentItem
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from worker.pipeline import wording
from worker.pipeline.image_numbers import lumbar_slice
from worker.pipeline.lumbar_results import LumbarMeasurement, LumbarMeasurements, Region
from worker.pipeline.report import codes as report_codes
from worker.pipeline.report.items import MODIFIER, code, text
from worker.pipeline.report.measurements import attenuation, measurement_group
from worker.pipeline.report.regions import Grid, Outline, on_image, source_grid
from worker.pipeline.results import MEASUREMENT, Screening
from worker.pipeline.spine.region import PARAMETERS
from worker.pipeline.uids import tracking_uid
from worker.pipeline.volume import to_point

# |cosine| of the angle between slices and the axial plane, in which the region is an ellipse.
AXIAL_COSINE = 0.7


def lumbar_groups(screening: Screening) -> Iterable[ContentItem]:
    """Yield TID 1410 for each vertebra with a value; each has a region, as ``hip_groups`` says.

    A vertebra of an uncertain level has the lumbar spine as its site. The region is the section
    of the measured slab of bone with the source slice through its center: the ellipse on an
    axial slice, a rectangle on a coronal one.
    """
    lumbar = screening.lumbar
    if lumbar is None:
        return
    study = str(screening.source.StudyInstanceUID)
    for vertebra in (*_certain(lumbar), *_uncertain(lumbar)):
        grid = source_grid(lumbar_slice(lumbar, vertebra.region))
        if grid is not None:
            yield _group(study, vertebra, grid)


@dataclass(frozen=True, slots=True)
class _Described:
    """One vertebra as its group shows it. ``structure`` : finding and site."""

    region: Region
    structure: Code
    key: str
    title: str
    comments: tuple[str, ...]


def _certain(lumbar: LumbarMeasurements) -> Iterator[_Described]:
    for one, region in lumbar.measured:
        level = one.vertebra.level
        title, comments = wording.GROUP_OF_LEVEL.format(level=level), tuple(_limits(one))
        yield _Described(region, report_codes.LEVELS[level], "trabecular bone", title, comments)


def _uncertain(lumbar: LumbarMeasurements) -> Iterator[_Described]:
    if (found := lumbar.uncertain) is None:
        return
    comments = (wording.WHY_UNCERTAIN.format(doubt=found.doubt),)
    for number, region in enumerate(found.regions, 1):
        title = wording.GROUP_WITHOUT_LEVEL.format(number=number, count=len(found.regions))
        yield _Described(region, report_codes.LUMBAR_SPINE, str(number), title, comments)


def _group(study: str, one: _Described, grid: Grid) -> ContentItem:
    tracking = TrackingIdentifier(tracking_uid(study, one.structure.value, one.key), one.title)
    items = (
        on_image(grid, section(one.region, grid)),
        attenuation(one.region),
        *(text(codes.DCM.Comment, words) for words in one.comments),
    )
    place = code(codes.SCT.FindingSite, one.structure, MODIFIER)
    return measurement_group(tracking, one.structure, place, MEASUREMENT, items)


def section(region: Region, grid: Grid) -> Outline:
    """Return the outline of the measured slab on a slice, patient LPS mm.

    ``grid`` : that of the slice through the center of the region.
    """
    right, down = grid.directions
    if abs(np.cross(right, down)[2]) > AXIAL_COSINE:
        return region.outline_mm
    center = np.array(region.center_mm)
    along = (np.array(region.outline_mm) - center) @ right
    up = np.array([0.0, 0.0, PARAMETERS.slab_mm / 2])
    corners = (
        center + along.min() * right + up,
        center + along.max() * right + up,
        center + along.max() * right - up,
        center + along.min() * right - up,
    )
    return tuple(to_point(corner) for corner in corners)


def _limits(one: LumbarMeasurement) -> Iterable[str]:
    """Yield the readings with their sources, and why a limit does not hold."""
    for limit in one.limits:
        words = wording.LIMIT_OF_GROUP.format(reading=limit.reading, source=limit.source)
        if limit.why_not is not None:
            words += wording.LIMIT_NOT_MET.format(why_not=limit.why_not)
        yield words
