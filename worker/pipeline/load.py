"""Reading of a folder of DICOM files: series of sorted headers, then volumes in HU."""

import os
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worker.pipeline import header_values, pixels
from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.decoding.pixel_format import PixelFormat
from worker.pipeline.header_values import require
from worker.pipeline.limits import (
    MAX_PIXELS_DECODED_AT_ONCE,
)
from worker.pipeline.memory import VOLUMES
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.reformat import (
    along_patient_axes,
    canonical,
    empty_array,
    resample_rows,
    slab_means,
)
from worker.pipeline.results import Rejected
from worker.pipeline.series_headers import SeriesHeaders, read_headers, series_uid_of
from worker.pipeline.validation.eligibility import PIXELS
from worker.pipeline.validation.monoenergetic import energies_of
from worker.pipeline.validation.rules import first_failure, to_check
from worker.pipeline.validation.slice_consistency import thumbnail
from worker.pipeline.validation.slice_faults import Thumbnails
from worker.pipeline.volume import AcquiredSlices, Series, Volume
from worker.pipeline.volume_layout import Layout, check_voxels, layout_of

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
    try:
        layout = layout_of(series)
        check_voxels(layout)
        volume = _canonical(series, layout)
        return replace(_along_axes(layout, volume), acquired=volume.acquired)
    except DecodeError as error:
        return _undecodable(str(error), series)


def reserve_memory(series: Series) -> AbstractContextManager[None]:
    """Hold the memory of a volume for as long as it is in use, after waiting for it.

    A series over a limit needs none: ``read_volume`` refuses it.
    """
    try:
        return VOLUMES.reserve(check_voxels(layout_of(series)))
    except DecodeError:
        return nullcontext()


def _canonical(series: Series, layout: Layout) -> Volume:
    """Decode a series, its axes turned. Raises DecodeError."""
    hu, thumbnails = _decode(series, layout)
    uids = tuple(header_values.text_of(ds, "SOPInstanceUID") for ds in series.headers)
    frames = tuple(header_values.frame_of(ds) for ds in series.headers)
    names = tuple(map(_name, uids, frames))
    acquired = AcquiredSlices(thumbnails, names, _lowest_kvp(series))
    return replace(canonical(Volume(hu, layout.affine, uids, frames)), acquired=acquired)


def _along_axes(layout: Layout, volume: Volume) -> Volume:
    """Interpolate a canonical volume where it is oblique or its pixels are not square."""
    if layout.oblique:
        return along_patient_axes(volume, layout.spacing_mm)
    return resample_rows(volume, layout.spacing_mm[1]) if layout.axial else volume


def _lowest_kvp(series: Series) -> float | None:
    voltages = [header_values.number_of(ds, "KVP") for ds in series.headers]
    known = [kvp for kvp in voltages if kvp is not None]
    complete = len(known) == len(voltages) and not energies_of(series.headers)
    return min(known) if complete else None


def _name(uid: str, frame: int | None) -> str:
    return uid if frame is None else f"{uid} frame {frame}"


def _decode(series: Series, layout: Layout) -> tuple[Hu, Thumbnails]:
    """Decode all slices in threads and average their slabs. Raises DecodeError.

    Return (slices, rows, columns) int16 whose canonical axes run along the memory, and the
    thumbnails of the slices before they were averaged.
    """
    slices = [
        pixels.describe_slice(*one) for one in zip(series.pixels, series.headers, strict=True)
    ]
    shared = pixels.locate_shared(slices)
    thumbnails: list[Thumbnails] = [np.empty(0, np.float32)] * len(slices)
    volume = empty_array(layout.shape, layout.affine)

    def fill(index: int) -> None:
        try:
            hu = slices[index].decode_hu(shared.get(series.pixels[index].path))
        except DecodeError as error:
            text = f"Slice {index + 1} of {len(slices)}: {error}"
            raise DecodeError(text) from error
        thumbnails[index] = thumbnail(hu)
        volume[index] = np.rint(slab_means(hu, layout.thickness, layout.axis))

    fill(0)  # alone: a series of a codec that is not readable ends here
    with ThreadPoolExecutor(_decoding_threads(slices[0].pixels)) as pool:
        list(pool.map(fill, range(1, len(slices))))
    return volume, np.stack(thumbnails)


def _decoding_threads(image: PixelFormat) -> int:
    at_once = MAX_PIXELS_DECODED_AT_ONCE // (image.rows * image.columns)
    return max(1, min(8, os.cpu_count() or 1, at_once))


def _undecodable(text: str, series: Series) -> Rejected:
    reason = Reason(ReasonCode.UNDECODABLE, text)
    checks = (to_check(PIXELS, reason),)
    return Rejected(series.series_instance_uid, reason, series.orientation, checks=checks)
