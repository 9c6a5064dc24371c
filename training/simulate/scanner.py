"""Simulated scanner: anatomy to HU with partial volume, point spread, noise and padding."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from training.simulate.acquisition import Acquisition
from training.simulate.anatomy.body import AIR_HU, outline
from training.simulate.anatomy.frames import body_frame
from training.simulate.anatomy.implants import streak_field
from training.simulate.geometry.painting import COARSE_STEP, coarse, paint
from training.simulate.geometry.shapes import Array, Grid
from training.simulate.scene import scene
from training.simulate.subject import Subject
from worker.pipeline.volume import Volume

THREADED_FROM = 4
"""Number of slices from which threads are faster; numpy mostly releases the GIL."""

MARGIN = 8
"""Pixels around a region, so that filters at its border have the same neighbors."""
SUBPLANE_MM = 1.3
"""Maximum distance of the planes over which a slab is averaged."""

# In-plane point spread as Gaussian σ in mm, and the overshoot of an edge-enhancing kernel.
POINT_SPREAD = {
    "soft": (0.75, 0.0),
    "standard": (0.58, 0.0),
    "bone": (0.46, 0.35),
    "sharp": (0.40, 0.75),
}
# Noise spectrum: cut-off in cycles/mm (soft kernels suppress high frequencies).
NOISE_CUTOFF = {"soft": 0.24, "standard": 0.32, "bone": 0.48, "sharp": 0.62}


def render(
    subject: Subject,
    acquisition: Acquisition,
    slices: npt.ArrayLike | None = None,
    rows: slice | None = None,
    columns: slice | None = None,
) -> npt.NDArray[np.int16]:
    """Return HU (n, rows, columns) int16 of all slices, of some, or of a region of them.

    A slice depends only on subject, acquisition and its index, so that a single slice has the
    same pixels as in the whole series. A region equals the same part of the whole slice to
    within 1 HU.
    """
    indices = range(acquisition.slices) if slices is None else np.atleast_1d(slices)
    span_r = _span(rows, acquisition.rows)
    span_c = _span(columns, acquisition.columns)
    result = np.empty(
        (len(indices), span_r[1] - span_r[0], span_c[1] - span_c[0]), dtype=np.int16
    )
    if len(indices) < THREADED_FROM:
        for at, index in enumerate(indices):
            result[at] = _render_slice(subject, acquisition, int(index), span_r, span_c)
        return result
    scene(subject, acquisition)  # fills the cache once, before the threads start
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        render_one = partial(_render_slice, subject, acquisition, rows=span_r, columns=span_c)
        for at, image in enumerate(pool.map(render_one, map(int, indices))):
            result[at] = image
    return result


def render_volume(
    subject: Subject, acquisition: Acquisition, slices: npt.ArrayLike | None = None
) -> Volume:
    """Return the rendered slices with their affine; coronal ones are ordered front to back.

    ``slices`` must be evenly spaced. Raises ValueError where they are not.
    """
    indices = np.arange(acquisition.slices) if slices is None else np.atleast_1d(slices)
    step = int(indices[1] - indices[0]) if len(indices) > 1 else 1
    if len(indices) > 1 and np.any(np.diff(indices) != step):
        raise ValueError(f"slices must be evenly spaced, got {indices.tolist()}")
    affine = acquisition.affine()
    affine[:3, 3] += affine[:3, 0] * int(indices[0])
    affine[:3, 0] *= step
    hu = render(subject, acquisition, indices)
    if acquisition.plane == "coronal" and affine[1, 0] < 0:
        affine[:3, 3] += affine[:3, 0] * (len(indices) - 1)
        affine[:3, 0] *= -1
        hu = np.ascontiguousarray(hu[::-1])
    return Volume(hu, affine)


def _span(part: slice | None, count: int) -> tuple[int, int]:
    start, stop, step = (part or slice(None)).indices(count)
    if step != 1 or stop <= start:
        raise ValueError(f"a region must be a slice of step 1 within 0–{count}, got {part}")
    return start, stop


def _render_slice(
    subject: Subject,
    acquisition: Acquisition,
    index: int,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> npt.NDArray[np.int16]:
    wide_r = _widen(rows)
    wide_c = _widen(columns)
    exact = _slab(subject, acquisition, index, wide_r, wide_c)
    keep = np.s_[rows[0] - wide_r[0] : rows[1] - wide_r[0],
                 columns[0] - wide_c[0] : columns[1] - wide_c[0]]  # fmt: skip
    image = _point_spread(exact, acquisition)[keep]
    image += _noise(subject, acquisition, index, rows, columns)
    image += acquisition.offset_hu
    np.rint(image, out=image)
    np.clip(image, -1024, 3071, out=image)
    _pad(image, acquisition, index, rows, columns)
    return image.astype(np.int16)


def _widen(span: tuple[int, int]) -> tuple[int, int]:
    """Return a span with a margin, aligned to the steps of the coarse fields."""
    low = (span[0] - MARGIN) // COARSE_STEP * COARSE_STEP
    high = -(-(span[1] + MARGIN) // COARSE_STEP) * COARSE_STEP
    return low, high + 1


def _grid(
    acquisition: Acquisition, index: float, rows: tuple[int, int], columns: tuple[int, int]
) -> Grid:
    """Return the open grid of a plane; rows and columns may lie outside the image."""
    affine = acquisition.affine()
    origin = affine[:3, 3] + affine[:3, 0] * index
    coordinates: list[Array] = []
    for axis in range(3):
        along_r, along_c = affine[axis, 1], affine[axis, 2]
        if along_r:
            values = origin[axis] + along_r * np.arange(*rows)
        elif along_c:
            values = origin[axis] + along_c * np.arange(*columns)
        else:
            values = origin[axis : axis + 1]
        shape = [1, 1, 1]
        shape[2 - axis] = -1
        coordinates.append(values.astype(np.float32).reshape(shape))
    return coordinates[0], coordinates[1], coordinates[2]


def _slab(
    subject: Subject,
    acquisition: Acquisition,
    index: int,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> Array:
    """Return the (rows, columns) mean over the slice thickness, without blur and noise."""
    soft, bones = scene(subject, acquisition)
    middle = _grid(acquisition, index, rows, columns)
    shape = np.broadcast_shapes(*(axis.shape for axis in middle))
    ground = np.full(shape, AIR_HU, dtype=np.float32)
    pixel, thickness = acquisition.pixel_mm, acquisition.thickness_mm
    paint(ground, middle, soft, max(pixel, 0.5 * thickness))
    count = max(1, round(thickness / SUBPLANE_MM))
    total = np.zeros(shape, dtype=np.float32)
    for number in range(count):
        offset = ((number + 0.5) / count - 0.5) * thickness / acquisition.increment_mm
        plane = ground.copy()
        grid = _grid(acquisition, index + offset, rows, columns)
        paint(plane, grid, bones, max(pixel, 0.6))
        total += plane
    total *= 1.0 / count
    streaks = streak_field(subject)
    if streaks is not None:
        total += streaks(middle)
    return total.reshape(rows[1] - rows[0], columns[1] - columns[0])


def _point_spread(image: Array, acquisition: Acquisition) -> Array:
    """Apply the in-plane point spread; edge-enhancing kernels overshoot."""
    sigma, boost = POINT_SPREAD[acquisition.kernel]
    taps = _taps(sigma, boost, acquisition.pixel_mm)
    blurred = ndimage.correlate1d(image, taps, axis=0, mode="nearest")
    return np.asarray(ndimage.correlate1d(blurred, taps, axis=1, mode="nearest"))


def _taps(sigma_mm: float, boost: float, pixel_mm: float) -> Array:
    radius = min(MARGIN, max(1, int(np.ceil(4.0 * sigma_mm / pixel_mm))))
    at = np.arange(-radius, radius + 1) * pixel_mm
    # Mean of the point spread over a pixel, by eight points.
    fine = at[:, None] + (np.arange(8) - 3.5)[None, :] * pixel_mm / 8
    narrow = np.exp(-0.5 * (fine / sigma_mm) ** 2).mean(axis=1)
    wide = np.exp(-0.5 * (fine / (1.8 * sigma_mm)) ** 2).mean(axis=1)
    taps = (1 + boost) * narrow / narrow.sum() - boost * wide / wide.sum()
    return np.asarray(taps, dtype=np.float32)


@lru_cache(maxsize=8)
def _noise_gain(
    rows: int, columns: int, pixel_mm: float, cutoff: float, streaks: float, axial: bool
) -> Array:
    """Return the square root of the noise power over rfft2 frequencies, for unit variance.

    Noise power of filtered back-projection rises with frequency and is cut off by the kernel;
    a coronal reformat shows this ramp along x only. Photon starvation causes streaks from side
    to side through the hips, which is power near zero frequency in x.
    """
    fz = np.abs(np.fft.fftfreq(rows, pixel_mm))[:, None]
    fx = np.fft.rfftfreq(columns, pixel_mm)[None, :]
    radial = np.hypot(fz, fx) if axial else np.hypot(fx, 0.12)
    power = (radial + 0.03) * np.exp(-2.0 * (np.hypot(fz, fx) / cutoff) ** 2)
    power = power * (1.0 + 12.0 * streaks * np.exp(-((fx * 28.0) ** 2)))
    power[0, 0] = 0.0
    weight = np.full(power.shape[1], 2.0)
    weight[0] = 1.0
    variance = (power * weight).sum() / (rows * columns)
    return np.asarray(np.sqrt(power / variance), dtype=np.float32)


def _noise(
    subject: Subject,
    acquisition: Acquisition,
    index: int,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> Array:
    """Return the correlated noise of one slice, seeded by its index, cut to the region."""
    shape = acquisition.rows, acquisition.columns
    rng = np.random.default_rng([acquisition.seed, index])
    white = rng.standard_normal(shape, dtype=np.float32)
    gain = _noise_gain(
        *shape, acquisition.pixel_mm, NOISE_CUTOFF[acquisition.kernel],
        round(acquisition.streaks, 2), acquisition.plane == "axial",
    )  # fmt: skip
    spectrum = fft.rfft2(white)
    spectrum *= gain
    colored = fft.irfft2(spectrum, s=shape)
    part = colored[rows[0] : rows[1], columns[0] : columns[1]]
    return np.asarray(part * _noise_level(subject, acquisition, index, rows, columns))


def _noise_level(
    subject: Subject,
    acquisition: Acquisition,
    index: int,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> Array:
    """Return the noise SD in HU: high in large bodies, inside and between hips, low in air."""
    wide_r, wide_c = _widen(rows), _widen(columns)
    grid = _grid(acquisition, index, wide_r, wide_c)

    def level(thin: Grid) -> Array:
        depth = np.clip(-outline(thin, subject, lean=False) * (1 / 90.0), 0.0, 1.0)
        z = body_frame(subject).local(thin)[2]
        hips = 1.0 + 0.35 * np.exp(-((z * (1 / 55.0)) ** 2))
        return np.asarray((0.45 + 0.55 * depth) * hips, dtype=np.float32)

    scale = acquisition.noise_hu * float(np.exp(0.9 * (subject.body.size - 1.0)))
    field = coarse(grid, level).reshape(wide_r[1] - wide_r[0], wide_c[1] - wide_c[0])
    field = field[rows[0] - wide_r[0] :, columns[0] - wide_c[0] :]
    return scale * field[: rows[1] - rows[0], : columns[1] - columns[0]]


def _pad(
    image: Array,
    acquisition: Acquisition,
    index: int,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> None:
    """Fill pixels outside the scan range or outside the reconstructed circle."""
    x, y, z = _grid(acquisition, index, rows, columns)
    low, high = acquisition.scan_mm
    outside = (z < low) | (z > high)
    radius = acquisition.field_of_view_mm / 2
    # The circle is that of the gantry, around the origin of x and y.
    outside = outside | (x * x + y * y > radius * radius)
    image[
        np.broadcast_to(outside, np.broadcast_shapes(x.shape, y.shape, z.shape)).reshape(
            image.shape
        )
    ] = acquisition.padding_hu
