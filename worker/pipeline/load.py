"""A folder of DICOM files → series of sorted headers → a canonical coronal volume in HU."""

import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag

from worker.pipeline import geometry, images, pixels
from worker.pipeline.checks import check, reason_of
from worker.pipeline.eligible import FILES, PIXELS
from worker.pipeline.frames import frame_headers, is_multi_frame
from worker.pipeline.geometry import known
from worker.pipeline.pixels import DecodeError, Image
from worker.pipeline.reformat import (
    along_patient_axes,
    canonical,
    resample_rows,
    slab_grid,
    slab_means,
)
from worker.pipeline.results import PixelData, Reason, ReasonCode, Rejected, Series, Volume

# Distance of the reformatted coronal planes of an axial series: as the coronal reformats of
# the paper (2–4 mm), so that the model sees the same noise and partial volume.
PLANE_DISTANCE_MM = 2.5
# A series turned by less keeps its own grid, and its slices their names; its affine says so.
ALIGNED_DEG = 1.5

Hu = npt.NDArray[np.int16]


class SeriesFiles(dict[str, tuple[Path, ...]]):
    """Series Instance UID → files; ``skipped`` counts the files without a usable UID."""

    skipped: int = 0


def find_series(folder: Path) -> SeriesFiles:
    """Group every DICOM file under ``folder`` (at any depth) by SeriesInstanceUID.

    A value that is no UID is none: it may hold a path, or all that followed in a damaged
    header, and the UID names files and is printed.
    """
    found: defaultdict[str, list[Path]] = defaultdict(list)
    skipped = 0
    # Not Path.is_file: it raises inside of a folder that may be listed and not entered.
    for path in sorted(path for path in folder.rglob("*") if os.path.isfile(path)):
        uid = _series_uid(path)
        if uid:
            found[uid].append(path)
        else:
            skipped += 1
    series = SeriesFiles({uid: tuple(paths) for uid, paths in found.items()})
    series.skipped = skipped
    return series


def read_series(paths: Iterable[Path]) -> Series | Rejected:
    """Read the headers of one series and sort its slices along their normal.

    InstanceNumber is never used: reformats number their slices as they like. A second copy
    of a SOP instance is left out. Every frame of a multi-frame object is a slice. Rejected
    where the images have no common geometry to sort by; the other rules are
    ``eligible.check_series``.
    """
    read: dict[str, list[tuple[PixelData, Dataset]]] = {}
    unreadable = 0
    for path in paths:
        slices = _read_slices(path)
        if slices:
            uid = geometry.text_of(slices[0][1], "SOPInstanceUID")
            read.setdefault(uid or path.name, slices)
        else:
            unreadable += 1
    if not read:
        return _undecodable("", "The series has no readable images.")
    sources, headers = zip(*(one for slices in read.values() for one in slices), strict=True)
    uid = geometry.text_of(headers[0], "SeriesInstanceUID")
    if unreadable:
        return _undecodable(uid, f"{unreadable} files of the series are not readable DICOM.")
    checks = (check(FILES, f"Readable objects: {len(read)}."), *images.check_images(headers))
    reason = reason_of(checks)
    if reason is not None:
        return Rejected(uid, reason, checks=checks)
    directions = known(geometry.directions_of(headers[0]))
    distances = known(geometry.distances_along(headers, geometry.normal_of(directions)))
    order = np.argsort(distances, kind="stable")
    return Series(
        series_instance_uid=uid,
        pixels=tuple(sources[i] for i in order),
        headers=tuple(headers[i] for i in order),
        orientation=geometry.orientation_of(directions),
        checks=checks,
    )


def _read_slices(path: Path) -> list[tuple[PixelData, Dataset]]:
    """The slices of one file, without their pixels; none where it is no DICOM file."""
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # they repeat header values
            ds = dcmread(file, stop_before_pixels=True)
            offset = file.tell()
        syntax = geometry.text_of(ds.file_meta, "TransferSyntaxUID")
        headers = frame_headers(ds) if is_multi_frame(ds) else [ds]
    except Exception:  # damaged bytes make the parser raise whatever they like
        return []
    return [
        (PixelData(path, syntax, offset, frame), header)
        for frame, header in enumerate(headers or [ds])
    ]


def _series_uid(path: Path) -> str:
    """SeriesInstanceUID, ``""`` where there is none; nothing behind it is read."""
    keyword = "SeriesInstanceUID"
    last = tag_for_keyword(keyword)

    def behind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        return int(tag) > int(last or 0)

    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")
            ds = read_partial(file, stop_when=behind, specific_tags=[last])
            return geometry.uid_of(ds, keyword)
    except Exception:  # damaged bytes make the parser raise whatever they like
        return ""


def read_volume(series: Series) -> Volume | Rejected:
    """Decode a series to HU in coronal axes along the patient's.

    A coronal series keeps its own grid, flipped or transposed where needed, and its SOP
    Instance UIDs and frames. An axial series is reformatted: planes are means of slabs about
    ``PLANE_DISTANCE_MM`` thick, rows are interpolated to the in-plane pixel size. A series of
    either plane that is turned by ``ALIGNED_DEG`` or more is interpolated along the patient's
    axes. Memory: an axial series is reduced to its slabs slice by slice.
    """
    affine = _affine(series.headers)
    axial = series.orientation == "axial"
    axis, thickness = 0, 1
    if axial:
        # The image axis that runs anterior-posterior; it is the rows unless transposed.
        axis = int(np.abs(affine[1, 1:3]).argmax())
        thickness = max(1, round(PLANE_DISTANCE_MM / np.linalg.norm(affine[:3, 1 + axis])))
    try:
        hu = _decode(series, lambda image: slab_means(image, thickness, axis))
    except DecodeError as error:
        return _undecodable(series.series_instance_uid, str(error), series)
    uids = tuple(geometry.text_of(ds, "SOPInstanceUID") for ds in series.headers)
    frames = tuple(geometry.frame_of(ds) for ds in series.headers)
    grid = slab_grid(thickness, axis)
    volume = canonical(Volume(hu, affine @ grid, uids, frames))
    del hu  # a canonical volume may be a copy
    _, row_mm, column_mm = volume.spacing_mm
    row_mm = column_mm if axial else row_mm
    if geometry.obliquity_deg(known(geometry.directions_of(series.headers[0]))) >= ALIGNED_DEG:
        return along_patient_axes(volume, (PLANE_DISTANCE_MM, row_mm, column_mm))
    return resample_rows(volume, row_mm) if axial else volume


def _decode(series: Series, reduce: Callable[[Image], Image]) -> Hu:
    """(slices, rows, columns) int16 of all slices, decoded in threads, each reduced."""
    slices = [pixels.slice_of(*one) for one in zip(series.pixels, series.headers, strict=True)]
    # A deflated file has no beginning of a frame: one of many frames is inflated once.
    frames = Counter(source.path for source in series.pixels if pixels.is_deflated(source))
    inflated = {path: pixels.inflate(path) for path, count in frames.items() if count > 1}

    def one(index: int) -> Hu:
        hu = slices[index].hu(inflated.get(series.pixels[index].path))
        return np.rint(reduce(hu)).astype(np.int16)

    first = one(0)
    volume = np.empty((len(slices), *first.shape), np.int16)
    volume[0] = first

    def fill(index: int) -> None:
        volume[index] = one(index)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        list(pool.map(fill, range(1, len(slices))))
    return volume


def _affine(headers: Sequence[Dataset]) -> npt.NDArray[np.float64]:
    """(4, 4) index (slice, row, column) → patient LPS mm of evenly spaced, sorted slices."""
    directions = known(geometry.directions_of(headers[0]))
    spacing = known(geometry.spacing_of(headers[0]))
    first = known(geometry.position_of(headers[0]))
    last = known(geometry.position_of(headers[-1]))
    affine = np.eye(4)
    affine[:3, 0] = (last - first) / max(1, len(headers) - 1)
    affine[:3, 1] = directions[1] * spacing[0]
    affine[:3, 2] = directions[0] * spacing[1]
    affine[:3, 3] = first
    return affine


def _undecodable(uid: str, text: str, series: Series | None = None) -> Rejected:
    reason = Reason(ReasonCode.UNDECODABLE, text)
    if series is None:
        return Rejected(uid, reason, checks=(check(FILES, reason),))
    return Rejected(uid, reason, series.orientation, checks=(check(PIXELS, reason),))
