"""The spines of varied results: without a graded hip, without a model, and beside a grade."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.support.factories import make_ct_headers, make_screening
from tests.support.report_cases import METAL
from tests.support.spine_results import make_lumbar, make_spine_screening
from worker.pipeline.lumbar_results import LumbarMeasurements, NotMeasured, Region
from worker.pipeline.measurement_only import no_model
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Hip, NeckNotMeasured, Screening
from worker.pipeline.volume import to_point

# From the spine of its phantom to one whose lowest vertebra is 9 cm above the heads.
ABOVE_MM = (0.0, 31.0, 293.0)
UNSEEN = NeckNotMeasured("The outline of the neck cannot be seen.")


def with_spine(number: int, screening: Screening, of_study: Mapping[str, Any]) -> Screening:
    """Return a result without a grade with a measured spine, and some others with one.

    Every second result without a grade is that of a site without a model (``MODEL_DIR=none``).
    Beside a grade the spine is of another series, or of the coronal series of the hips.
    ``of_study`` : attributes of the headers of the study.
    """
    graded = screening.grade is not None
    if graded and number % 7 != 1:
        return screening
    lumbar = make_lumbar(
        orientation="coronal" if number % 4 == 2 else "axial",
        dense=("L1",) if number % 5 == 4 else (),
        **{**of_study, "SeriesInstanceUID": f"1.2.826.0.1.3680043.8.498.9.{number}"},
    )
    lumbar = replace(lumbar, headers=tuple(map(as_read, lumbar.headers)))
    if graded:
        one_series = number % 4 == 1 and _is_of_one_coronal_series(screening)
        return replace(
            screening, lumbar=_above(lumbar, screening.headers) if one_series else lumbar
        )
    spine = make_spine_screening(lumbar, warnings=screening.warnings)
    if number % 2 == 0:
        return replace(spine, hips=_without_model(number, screening.hips))
    return replace(spine, hips=screening.hips or spine.hips)


def _is_of_one_coronal_series(screening: Screening) -> bool:
    shown = (hip.plane for hip in screening.hips if hip.plane is not None)
    return all(plane.source_sop_uid for plane in shown) and not screening.is_composed


def _above(lumbar: LumbarMeasurements, headers: tuple[Dataset, ...]) -> LumbarMeasurements:
    """Return the measurements as those of the series of the hips, above their heads."""
    measurements = tuple(
        replace(one, vertebra=replace(one.vertebra, region=_moved(one.vertebra.region)))
        for one in lumbar.measurements
    )
    return replace(lumbar, measurements=measurements, headers=headers)


def _moved(region: Region | NotMeasured) -> Region | NotMeasured:
    if isinstance(region, NotMeasured):
        return region
    return replace(
        region,
        center_mm=to_point(np.add(region.center_mm, ABOVE_MM)),
        outline_mm=tuple(to_point(np.add(point, ABOVE_MM)) for point in region.outline_mm),
    )


def _without_model(number: int, hips: Sequence[Hip]) -> tuple[Hip, ...]:
    """Return the hips of a site without a model: with metal, or measured and not graded."""
    metal = {hip.side: hip for hip in hips if hip.reason and hip.reason.code is METAL.code}
    measured = make_screening(make_ct_headers(), neck_hu=150.0 + number % 60).hips
    return tuple(
        metal.get(hip.side) or _ungraded(hip, seen=hip.side == "R" or number % 4 != 0)
        for hip in measured
    )


def _ungraded(hip: Hip, *, seen: bool) -> Hip:
    """Return a measured hip without a grade. ``seen`` : whether the outline of its neck is."""
    neck = hip.neck if seen and hip.neck else UNSEEN
    return Hip(hip.side, no_model(neck), hip.femur, neck=neck)


def spine_name(screening: Screening) -> str:
    """Return what the name of a result says about its spine."""
    if screening.lumbar is None:
        return ""
    if screening.grade is not None:
        own = {str(ds.SeriesInstanceUID) for ds in screening.headers}
        is_own = screening.lumbar.series_instance_uid in own
        return " and its spine" if is_own else " and spine of another series"
    codes = {hip.reason.code for hip in screening.hips if hip.reason is not None}
    without = ", no model" if ReasonCode.NO_MODEL in codes else ""
    return f", replaced by a spine{without}"


def as_read(header: Dataset) -> Dataset:
    """Return the header as read from a file: text in bytes of its own character set."""
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = BytesIO()
    dcmwrite(file, header, enforce_file_format=True)
    read: Dataset = dcmread(BytesIO(file.getvalue()))
    return read
