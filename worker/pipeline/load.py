"""Reading of a folder of DICOM files: series of sorted headers, then volumes in HU."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from worker.pipeline import header_values, pixels
from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.header_values import require
from worker.pipeline.limits import (
    MAX_KEPT_VOXELS,
)
from worker.pipeline.pixels import Image
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.reformat import (
    along_patient_axes,
    canonical,
    resample_rows,
    slab_grid,
    slab_means,
)
from worker.pipeline.results import Rejected
from worker.pipeline.series_headers import SeriesHeaders, read_headers, series_uid_of
from worker.pipeline.validation.eligibility import PIXELS
from worker.pipeline.validation.rules import first_failure, to_check
from worker.pipeline.validation.slice_consistency import Thumbnails, thumbnail
from worker.pipeline.volume import AcquiredSlices, Series, Volume

# Distance of the reformatted coronal planes of an axial series: that of the paper's coronal
# reformats (2–4 mm), so that noise and partial volume are alike.
PLANE_DISTANCE_MM = 2.5
# A series turned by less keeps its own grid and the references to its slices; its affine
# holds the angle.
ALIGNED_DEG = 1.5

Hu = npt.NDArray[np.int16]


class SeriesFiles(dict[str, tuple[Path, ...]]):
    """Files by Series Instance UID; ``skipped`` counts those without a usable UID."""

    skipped: int = 0


def find_series(folder: Path) -> SeriesFiles:
    """Group every DICOM file under ``folder`` (at any depth) by SeriesInstanceUID.

    Files whose value is not a UID are skipped: in a damaged header it may hold a path or
    other elements, and the UID is printed and used in file names.
    """
    found: defaultdict[str, list[Path]] = defaultdict(list)
    skipped = 0
    # Not Path.is_file: it raises in a folder that may be listed but not entered.
    for path in sorted(path for path in folder.rglob("*") if os.path.isfile(path)):
        uid = series_uid_of(path)
        if uid:
            found[uid].append(path)
        else:
            skipped += 1
    series = SeriesFiles({uid: tuple(paths) for uid, paths in found.items()})
    series.skipped = skipped
    return series


def read_series(paths: Iterable[Path]) -> Series | Rejected:
    """Read the headers of one series and sort its slices along their normal.

    InstanceNumber is not used, because reformats number their slices in any order. Every frame
    of a multi-frame object is a slice. Return ``Rejected`` where the images have no common
    geometry to sort by, or one SOP Instance UID; the other rules are those of
    ``eligibility.check_series``.
    """
    read = read_headers(paths)
    return read if isinstance(read, Rejected) else sort_slices(read)


def sort_slices(read: SeriesHeaders) -> Series | Rejected:
    """Sort the images of one series; return ``Rejected`` where they failed a rule."""
    reason = first_failure(read.checks)
    if reason is not None:
        return Rejected(read.series_instance_uid, reason, checks=read.checks)
    directions = require(header_values.directions_of(read.headers[0]))
    distances = require(
        header_values.distances_along(read.headers, header_values.normal_of(directions))
    )
    order = np.argsort(distances, kind="stable")
    return Series(
        series_instance_uid=read.series_instance_uid,
        pixels=tuple(read.pixels[i] for i in order),
        headers=tuple(read.headers[i] for i in order),
        orientation=header_values.orientation_of(directions),
        checks=read.checks,
    )


def read_volume(series: Series) -> Volume | Rejected:
    """Decode a series to a canonical coronal volume in HU.

    A coronal series keeps its own grid, flipped or transposed where needed, and its SOP
    Instance UIDs and frames. An axial series is reformatted: planes are means of slabs about
    ``PLANE_DISTANCE_MM`` thick, rows are interpolated to the in-plane pixel size. A series of
    either plane that is turned by ``ALIGNED_DEG`` or more is interpolated along the patient's
    axes. An axial series is reduced to its slabs slice by slice, which limits the memory.
    """
    affine = _affine(series.headers)
    axial = series.orientation == "axial"
    axis, thickness = 0, 1
    if axial:
        # The image axis that runs anterior-posterior: the rows unless transposed.
        axis = int(np.abs(affine[1, 1:3]).argmax())
        thickness = max(1, round(PLANE_DISTANCE_MM / np.linalg.norm(affine[:3, 1 + axis])))
    grid = affine @ slab_grid(thickness, axis)
    try:
        volume = _canonical(series, grid, lambda image: slab_means(image, thickness, axis))
        return replace(_along_axes(series, volume), acquired=volume.acquired)
    except DecodeError as error:
        return _undecodable(str(error), series)


def _canonical(
    series: Series, affine: npt.NDArray[np.float64], reduce: Callable[[Image], Image]
) -> Volume:
    """Decode a series and turn its axes. Raises DecodeError.

    The decoded array is freed on return: the canonical volume may be a copy.
    """
    hu, thumbnails = _decode(series, reduce)
    uids = tuple(header_values.text_of(ds, "SOPInstanceUID") for ds in series.headers)
    frames = tuple(header_values.frame_of(ds) for ds in series.headers)
    acquired = AcquiredSlices(thumbnails, tuple(map(_name, uids, frames)))
    return replace(canonical(Volume(hu, affine, uids, frames)), acquired=acquired)


def _along_axes(series: Series, volume: Volume) -> Volume:
    """Interpolate a canonical volume where it is oblique or its pixels are not square.

    Raises DecodeError.
    """
    axial = series.orientation == "axial"
    _, row_mm, column_mm = volume.spacing_mm
    row_mm = column_mm if axial else row_mm
    if (
        header_values.obliquity_deg(require(header_values.directions_of(series.headers[0])))
        >= ALIGNED_DEG
    ):
        return along_patient_axes(volume, (PLANE_DISTANCE_MM, row_mm, column_mm))
    return resample_rows(volume, row_mm) if axial else volume


def _name(uid: str, frame: int | None) -> str:
    return uid if frame is None else f"{uid} frame {frame}"


def _decode(series: Series, reduce: Callable[[Image], Image]) -> tuple[Hu, Thumbnails]:
    """Decode all slices in threads and apply ``reduce`` to each.

    Return (slices, rows, columns) int16, and the thumbnails of the slices before that.
    """
    slices = [
        pixels.describe_slice(*one) for one in zip(series.pixels, series.headers, strict=True)
    ]
    shared = pixels.locate_shared(slices)

    thumbnails: list[Thumbnails] = [np.empty(0, np.float32)] * len(slices)

    def one(index: int) -> Hu:
        try:
            hu = slices[index].decode_hu(shared.get(series.pixels[index].path))
        except DecodeError as error:
            text = f"Slice {index + 1} of {len(slices)}: {error}"
            raise DecodeError(text) from error
        thumbnails[index] = thumbnail(hu)
        return np.rint(reduce(hu)).astype(np.int16)

    first = one(0)
    if not first.size:
        raise DecodeError("The images are smaller than the distance of coronal planes.")
    if len(slices) * first.size > MAX_KEPT_VOXELS:
        raise DecodeError(
            f"The volume has {len(slices) * first.size} voxels, at most {MAX_KEPT_VOXELS} are "
            "kept in memory."
        )
    volume = np.empty((len(slices), *first.shape), np.int16)
    volume[0] = first

    def fill(index: int) -> None:
        volume[index] = one(index)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        list(pool.map(fill, range(1, len(slices))))
    return volume, np.stack(thumbnails)


def _affine(headers: Sequence[Dataset]) -> npt.NDArray[np.float64]:
    """Return the affine of evenly spaced, sorted slices.

    (4, 4), index (slice, row, column, 1) → patient LPS mm.
    """
    directions = require(header_values.directions_of(headers[0]))
    spacing = require(header_values.spacing_of(headers[0]))
    first = require(header_values.position_of(headers[0]))
    last = require(header_values.position_of(headers[-1]))
    affine = np.eye(4)
    affine[:3, 0] = (last - first) / max(1, len(headers) - 1)
    affine[:3, 1] = directions[1] * spacing[0]
    affine[:3, 2] = directions[0] * spacing[1]
    affine[:3, 3] = first
    return affine


def _undecodable(text: str, series: Series) -> Rejected:
    reason = Reason(ReasonCode.UNDECODABLE, text)
    checks = (to_check(PIXELS, reason),)
    return Rejected(series.series_instance_uid, reason, series.orientation, checks=checks)
