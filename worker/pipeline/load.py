"""A folder of DICOM files → series of sorted headers → a canonical coronal volume in HU."""

import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.pixels import pixel_array

from worker.pipeline import geometry, images
from worker.pipeline.geometry import known
from worker.pipeline.results import Reason, ReasonCode, Rejected, Series, Volume

AIR_HU = -1024
# Distance of the reformatted coronal planes of an axial series: as the coronal reformats of
# the paper (2–4 mm), so that the model sees the same noise and partial volume.
PLANE_DISTANCE_MM = 2.5
# Directions of a canonical volume's axes in patient LPS: slices anterior → posterior,
# rows head → feet, columns right → left.
CANONICAL_AXES = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])

Hu = npt.NDArray[np.int16]
Image = npt.NDArray[np.float32]


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
        ds = _read_header(path, "SeriesInstanceUID")
        uid = "" if ds is None else geometry.uid_of(ds, "SeriesInstanceUID")
        if uid:
            found[uid].append(path)
        else:
            skipped += 1
    series = SeriesFiles({uid: tuple(paths) for uid, paths in found.items()})
    series.skipped = skipped
    return series


def read_series(paths: Iterable[Path]) -> Series | Rejected:
    """Read the headers of one series and sort them along the slice normal.

    InstanceNumber is never used: reformats number their slices as they like. A second copy
    of a SOP instance is left out. Rejected where the images have no common geometry to sort
    by; the other rules are ``eligible.check_series``.
    """
    read: dict[str, tuple[Path, Dataset]] = {}
    unreadable = 0
    for path in paths:
        ds = _read_header(path)
        if ds is None:
            unreadable += 1
        else:
            read.setdefault(geometry.text_of(ds, "SOPInstanceUID") or path.name, (path, ds))
    if not read:
        return _undecodable("", "The series has no readable images.")
    files, headers = zip(*read.values(), strict=True)
    uid = geometry.text_of(headers[0], "SeriesInstanceUID")
    if unreadable:
        return _undecodable(uid, f"{unreadable} files of the series are not readable DICOM.")
    reason = images.check_images(headers)
    if reason is not None:
        return Rejected(uid, reason)
    directions = known(geometry.directions_of(headers[0]))
    distances = known(geometry.distances_along(headers, geometry.normal_of(directions)))
    order = np.argsort(distances, kind="stable")
    return Series(
        series_instance_uid=uid,
        paths=tuple(files[i] for i in order),
        headers=tuple(headers[i] for i in order),
        orientation=geometry.orientation_of(directions),
    )


def _read_header(path: Path, *keywords: str) -> Dataset | None:
    """All elements before the pixel data, or only some; None where it is no DICOM file."""
    try:
        with warnings.catch_warnings():  # they repeat header values
            warnings.simplefilter("ignore")
            return dcmread(path, stop_before_pixels=True, specific_tags=list(keywords) or None)
    except Exception:  # damaged bytes make the parser raise whatever they like
        return None


def read_volume(series: Series) -> Volume | Rejected:
    """Decode a series to HU in canonical coronal axes.

    A coronal series keeps its own grid, flipped or transposed where needed, and its SOP
    Instance UIDs. An axial series is reformatted: planes are means of slabs about
    ``PLANE_DISTANCE_MM`` thick, rows are interpolated to the in-plane pixel size, and the
    axes stay those of the series (they may differ from the patient's by the 20° that
    ``eligible`` allows). Memory: an axial series is reduced to its slabs slice by slice.
    """
    affine = _affine(series.headers)
    axis, thickness = 0, 1
    if series.orientation == "axial":
        # The image axis that runs anterior-posterior; it is the rows unless transposed.
        axis = int(np.abs(affine[1, 1:3]).argmax())
        thickness = max(1, round(PLANE_DISTANCE_MM / np.linalg.norm(affine[:3, 1 + axis])))
    try:
        hu = _decode(series, lambda image: slab_means(image, thickness, axis))
    except DecodeError as error:
        return _undecodable(series.series_instance_uid, str(error), series)
    if series.orientation == "axial":
        volume = canonical(Volume(hu, affine @ slab_grid(thickness, axis)))
        return resample_rows(volume, volume.spacing_mm[2])
    uids = tuple(geometry.text_of(ds, "SOPInstanceUID") for ds in series.headers)
    return canonical(Volume(hu, affine, uids))


def canonical(volume: Volume) -> Volume:
    """Flip and transpose a volume into canonical coronal axes; no value is changed.

    ``source_sop_uids`` are kept only where slices stay slices.
    """
    axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    cosines = CANONICAL_AXES @ axes
    order = [int(i) for i in np.abs(cosines).argmax(axis=1)]
    flips = [bool(cosines[target, source] < 0) for target, source in enumerate(order)]
    hu = volume.hu.transpose(order)
    affine = volume.affine[:, [*order, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (hu.shape[axis] - 1)
            affine[:3, axis] *= -1
    hu = hu[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    uids = volume.source_sop_uids if order[0] == 0 else ()
    return Volume(
        hu=np.ascontiguousarray(hu),
        affine=affine,
        source_sop_uids=uids[::-1] if flips[0] else uids,
    )


def slab_means(image: Image, thickness: int, axis: int = 0) -> Image:
    """Means of every ``thickness`` rows (axis 0) or columns (axis 1) of an image.

    What is left over at the end is dropped.
    """
    if thickness == 1:
        return image
    starts = np.arange(image.shape[axis] // thickness) * thickness
    kept = (
        image[: len(starts) * thickness] if axis == 0 else image[:, : len(starts) * thickness]
    )
    return np.asarray(np.add.reduceat(kept, starts, axis=axis) / np.float32(thickness))


def resample_rows(volume: Volume, row_mm: float) -> Volume:
    """Interpolate linearly along the rows to ``row_mm``, first row kept."""
    ratio = row_mm / volume.spacing_mm[1]
    count = volume.hu.shape[1]
    at = np.arange(0, count - 1 + 1e-6, ratio)
    below = np.minimum(at.astype(int), count - 2)
    weight = (at - below).astype(np.float32)[:, None]
    hu = np.empty((volume.hu.shape[0], len(at), volume.hu.shape[2]), np.int16)
    for index, plane in enumerate(volume.hu):
        lower, upper = plane[below].astype(np.float32), plane[below + 1].astype(np.float32)
        hu[index] = np.rint(lower + (upper - lower) * weight)
    affine = volume.affine.copy()
    affine[:3, 1] *= ratio
    return Volume(hu, affine)


class DecodeError(Exception):
    """Pixel data of one image that cannot be decoded to HU; the text is for a person."""


def _decode(series: Series, reduce: Callable[[Image], Image]) -> Hu:
    """(slices, rows, columns) int16 of all slices, decoded in threads, each reduced."""

    def one(index: int) -> Hu:
        hu = to_hu(_stored(series.paths[index]), series.headers[index])
        return np.rint(reduce(hu)).astype(np.int16)

    first = one(0)
    volume = np.empty((len(series.paths), *first.shape), np.int16)
    volume[0] = first
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for index, image in enumerate(pool.map(one, range(1, len(series.paths))), start=1):
            volume[index] = image
    return volume


def _stored(path: Path) -> npt.NDArray[np.generic]:
    try:
        # Not the path: pixel_array does not inflate a deflated file.
        stored = np.asarray(pixel_array(dcmread(path)))
    except Exception as error:  # decoder plug-ins raise whatever they like
        raise DecodeError(f"The pixel data cannot be decoded: {error}") from error
    if stored.ndim != 2:
        raise DecodeError(f"An image has {stored.ndim} dimensions, 2 are needed.")
    return stored


def to_hu(stored: npt.NDArray[np.generic], ds: Dataset) -> Image:
    """Stored values → HU, (rows, columns) float32; padding and below −1024 become air.

    PS3.3 C.11.1: HU = stored value × slope + intercept. Ha 2024, Eq. 3 prints a minus sign
    before the intercept: with CT's usual intercept of −1024 that would make water 2048 HU,
    so it is a misprint.
    """
    slope = geometry.number_of(ds, "RescaleSlope")
    intercept = geometry.number_of(ds, "RescaleIntercept")
    if slope is None or intercept is None or slope == 0:
        raise DecodeError("There is no usable rescale slope and intercept: HU are unknown.")
    hu = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    padding = geometry.number_of(ds, "PixelPaddingValue")
    if padding is not None:
        # PS3.3 C.7.5.1.1.2: the range limit is the other end of a range of padding values.
        limit = geometry.number_of(ds, "PixelPaddingRangeLimit")
        low, high = sorted((padding, padding if limit is None else limit))
        hu[(stored >= low) & (stored <= high)] = AIR_HU  # type: ignore[operator]
    return np.asarray(np.clip(hu, AIR_HU, np.iinfo(np.int16).max))


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


def slab_grid(thickness: int, axis: int) -> npt.NDArray[np.float64]:
    """(4, 4) index of a slab along an image axis → source index of the slab's centre."""
    grid = np.eye(4)
    grid[1 + axis, 1 + axis] = thickness
    grid[1 + axis, 3] = (thickness - 1) / 2
    return grid


def _undecodable(uid: str, text: str, series: Series | None = None) -> Rejected:
    orientation = None if series is None else series.orientation
    return Rejected(uid, Reason(ReasonCode.UNDECODABLE, text), orientation)
