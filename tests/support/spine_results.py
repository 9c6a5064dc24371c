"""Results without a grade: the lumbar spine of a phantom is measured, no hip is in view."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from pydicom import Dataset

from tests.support.factories import make_ct_headers
from tests.support.spine_phantom import SpinePhantom, build_volume
from worker.pipeline.femurs.grid import Grid, build_grid
from worker.pipeline.lumbar_results import LumbarMeasurements, Region
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import MEASUREMENT, Hip, Screening
from worker.pipeline.spine.lumbar import measure_lumbar
from worker.pipeline.volume import Orientation, Series, Volume

LOW_HU = {"L1": 104.0, "L2": 110.0, "L3": 120.0, "L4": 130.0}
NOT_IN_VIEW = {
    side: Reason(ReasonCode.NO_FEMUR, f"no {word} femur in the field of view")
    for side, word in (("R", "right"), ("L", "left"))
}
SERIES_UID = "1.2.826.0.1.3680043.8.498.9"
ACQUISITION = {
    "SeriesInstanceUID": SERIES_UID, "SeriesNumber": 9, "KVP": 120,
    "ConvolutionKernel": "STANDARD",
}  # fmt: skip


Painted = tuple[tuple[tuple[str, float], ...], tuple[str, ...], int]


@cache
def _volume(painted: Painted) -> Volume:
    trabecular_hu, dense, lumbar = painted
    # Square pixels in both planes: OHIF misplaces outlines on others (docs/validators.md).
    phantom = SpinePhantom(
        spacing_mm=(2.5, 2.5, 2.5),
        trabecular_hu=dict(trabecular_hu),
        dense=dense,
        lumbar=lumbar,
    )
    return build_volume(phantom)


@cache
def _grid(painted: Painted) -> Grid:
    return build_grid(_volume(painted))


def make_lumbar(
    trabecular_hu: Mapping[str, float] = LOW_HU,
    *,
    orientation: Orientation = "axial",
    dense: tuple[str, ...] = (),
    vertebrae: int = 5,
    **attributes: Any,
) -> LumbarMeasurements:
    """Return the measurements of a phantom. ``attributes`` : as of ``make_ct_headers``.

    ``vertebrae`` : of the lumbar spine; the levels of another number than 5 are uncertain.
    """
    painted = tuple(trabecular_hu.items()), dense, vertebrae
    volume = _volume(painted)
    headers = _headers(volume, orientation, {**ACQUISITION, **attributes})
    series = Series(str(headers[0].SeriesInstanceUID), (), headers, orientation)
    return measure_lumbar(series, _grid(painted))


def by_structure(lumbar: LumbarMeasurements | None) -> list[tuple[str, Region]]:
    """Return the measured regions with their levels, ``"lumbar"`` for an uncertain one."""
    if lumbar is None:
        return []
    uncertain = () if lumbar.uncertain is None else lumbar.uncertain.regions
    certain = [(one.vertebra.level, region) for one, region in lumbar.measured]
    return [*certain, *(("lumbar", region) for region in uncertain)]


def make_spine_screening(
    lumbar: LumbarMeasurements | None = None, *, warnings: tuple[str, ...] = ()
) -> Screening:
    """Return a result without a grade."""
    lumbar = make_lumbar() if lumbar is None else lumbar
    first = lumbar.headers[0]
    return Screening(
        series_instance_uid=str(first.SeriesInstanceUID),
        orientation="axial" if first.ImageOrientationPatient[4] == 1 else "coronal",
        headers=lumbar.headers,
        hips=(Hip("R", NOT_IN_VIEW["R"]), Hip("L", NOT_IN_VIEW["L"])),
        grade=None,
        model=MEASUREMENT,
        warnings=warnings,
        lumbar=lumbar,
    )


def _headers(
    volume: Volume, orientation: Orientation, attributes: Mapping[str, Any]
) -> tuple[Dataset, ...]:
    """Return headers of the slices of a volume; axial ones run from feet to head."""
    behind_mm, down_mm, left_mm = volume.spacing_mm
    slices, rows, columns = volume.hu.shape
    first, step = volume.affine[:3, 3], np.array([0.0, behind_mm, 0.0])
    count, size, pixel_mm = slices, (rows, columns), (down_mm, left_mm)
    if orientation == "axial":
        first, step = volume.to_mm((0, rows - 1, 0)), np.array([0.0, 0.0, down_mm])
        count, size, pixel_mm = rows, (slices, columns), (behind_mm, left_mm)
    headers = make_ct_headers(
        orientation=orientation, slices=count, size=size, pixel_mm=pixel_mm,
        slice_mm=float(np.linalg.norm(step)), **attributes,
    )  # fmt: skip
    for index, header in enumerate(headers):
        header.SOPInstanceUID = f"{header.SeriesInstanceUID}.{index + 1}"
        header.ImagePositionPatient = [round(float(v), 4) for v in first + index * step]
    return headers
