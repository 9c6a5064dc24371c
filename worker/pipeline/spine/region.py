"""The trabecular region of one vertebra in the axial plane through the middle of its body."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline.lumbar_results import NotMeasured, Region
from worker.pipeline.neck_axis import encloses, sample
from worker.pipeline.validation.metal import METAL_HU, METAL_MM3
from worker.pipeline.volume import Volume, to_point

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RegionParameters:
    """Region in the vertebral body. Anatomy; measurements in 0040."""

    # The picture is a mean over a slab, so that slices of up to this give the same region.
    slab_mm: float = 5.0
    slab_steps: int = 5
    # Borders are looked for along rays, where the mean over this falls most.
    ray_step_mm: float = 0.5
    fall_mm: float = 3.0
    sector_degrees: float = 25.0
    rays: int = 11
    side_mm: tuple[float, float] = (10.0, 36.0)
    front_mm: tuple[float, float] = (8.0, 30.0)
    back_mm: tuple[float, float] = (8.0, 26.0)
    # The center is found again from the borders.
    rounds: int = 2
    # A border that falls less on most rays is hidden: a vessel with contrast medium as dense as
    # the cortex lies against it.
    clear_hu: float = 25.0
    # Bodies of adult lumbar vertebrae: 36–58 mm wide, 26–42 mm deep; and some more.
    width_mm: tuple[float, float] = (30.0, 66.0)
    depth_mm: tuple[float, float] = (22.0, 48.0)
    # They are about 0.8 times as deep as wide. What lies before this is an aorta on the body.
    max_depth_share: float = 1.0
    # Center and half axes of the ellipse as shares of depth and width: the front two thirds,
    # before the basivertebral vein.
    center_depth: float = 0.42
    half_depth: float = 0.22
    half_width: float = 0.26
    point_mm: float = 0.75
    vertices: int = 32
    # Metal in body, arch or disc.
    metal_reach_mm: float = 38.0
    # Trabecular bone within this of the center stays under these; cement, cages and islands of
    # dense bone do not.
    core_mm: float = 8.0
    dense_hu: float = 500.0
    max_dense_share: float = 0.02
    mean_hu: tuple[float, float] = (-50.0, 400.0)


PARAMETERS = RegionParameters()


@dataclass(frozen=True, slots=True, eq=False)
class _Body:
    """Center, width and depth of a body in an axial plane, patient LPS mm."""

    center: Floats
    width_mm: float
    depth_mm: float


def measure_region(volume: Volume, center_mm: Floats) -> Region | NotMeasured:
    """Measure the trabecular bone of the body around a rough center, (3,) patient LPS mm.

    The ellipse is in the front two thirds of the body, at least a fifth of its depth and width
    away from cortex, in the axial plane of the patient halfway between the discs.
    """
    if _has_metal(volume, center_mm):
        return NotMeasured.METAL
    if _is_dense(slab_mean(volume, _points(center_mm, np.full(2, PARAMETERS.core_mm)))):
        return NotMeasured.DENSE
    body = _find_body(volume, center_mm)
    if body is None:
        return NotMeasured.NO_OUTLINE
    half = np.array([PARAMETERS.half_width * body.width_mm,
                     PARAMETERS.half_depth * body.depth_mm])  # fmt: skip
    forward = (0.5 - PARAMETERS.center_depth) * body.depth_mm
    center = body.center - np.array([0.0, forward, 0.0])
    points = _points(center, half)
    if not encloses(volume, _slab(points)):
        return NotMeasured.OUT_OF_VIEW
    values = slab_mean(volume, points)
    if _is_dense(values):
        return NotMeasured.DENSE
    low, high = PARAMETERS.mean_hu
    if not low <= values.mean() <= high:
        return NotMeasured.IMPLAUSIBLE
    angles = np.arange(PARAMETERS.vertices) * 2 * np.pi / PARAMETERS.vertices
    outline = center + _flat(half[0] * np.cos(angles), half[1] * np.sin(angles))
    return Region(
        mean_hu=float(values.mean()),
        sd_hu=float(values.std(ddof=1)),
        area_mm2=float(np.pi * half[0] * half[1]),
        center_mm=to_point(center),
        half_axes_mm=(float(half[0]), float(half[1])),
        outline_mm=tuple(to_point(vertex) for vertex in outline),
    )


def _is_dense(values: Floats) -> bool:
    """Return whether values of the inside of a body hold more than trabecular bone."""
    return bool((values > PARAMETERS.dense_hu).mean() > PARAMETERS.max_dense_share)


def _has_metal(volume: Volume, center_mm: Floats) -> bool:
    """Return whether a connected piece as dense as metal lies around a vertebra."""
    reach = PARAMETERS.metal_reach_mm
    corners = center_mm + reach * np.array([[-1, -0.7, -0.5], [1, 1.6, 0.5]])
    hu = volume.hu[volume.box_around(corners)]
    dense = hu > METAL_HU
    if not dense.any():
        return False
    labels, count = ndimage.label(dense)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return bool(sizes.max() * np.prod(volume.spacing_mm) > METAL_MM3)


def _find_body(volume: Volume, center_mm: Floats) -> _Body | None:
    """Return the body around a rough center; None where its borders are implausible."""
    center = np.array(center_mm, dtype=np.float64)
    width = depth = 0.0
    for _ in range(PARAMETERS.rounds):
        left = _border_mm(volume, center, 0.0, PARAMETERS.side_mm)
        right = _border_mm(volume, center, 180.0, PARAMETERS.side_mm)
        back = _border_mm(volume, center, 90.0, PARAMETERS.back_mm)
        nearest, farthest = PARAMETERS.front_mm
        if not np.isnan(limit := PARAMETERS.max_depth_share * (left + right) - back):
            farthest = max(nearest, min(farthest, limit))
        front = _border_mm(volume, center, 270.0, (nearest, farthest))
        width, depth = left + right, back + front
        if np.isnan(width + depth):
            return None
        center = center + np.array([(left - right) / 2, (back - front) / 2, 0.0])
    for size, (low, high) in ((width, PARAMETERS.width_mm), (depth, PARAMETERS.depth_mm)):
        if not low <= size <= high:
            return None
    return _Body(center, width, depth)


def _border_mm(
    volume: Volume, center: Floats, degrees: float, reach: tuple[float, float]
) -> float:
    """Return the distance of the body's border in a direction (0: left, 90: behind), mm.

    The median over the rays of a sector that meet it: a vessel with contrast medium or an
    osteophyte beside the body hides the border from some. NaN where most do not meet it.
    """
    sector = PARAMETERS.sector_degrees
    offsets = np.radians(np.linspace(-sector, sector, PARAMETERS.rays))
    angles = np.radians(degrees) + offsets
    half = PARAMETERS.fall_mm
    step = PARAMETERS.ray_step_mm
    radii = np.arange(reach[0] - half, reach[1] + half + step, step)
    # (rays, radii)
    points = center + _flat(np.cos(angles)[:, None] * radii, np.sin(angles)[:, None] * radii)
    sums = np.cumsum(slab_mean(volume, points), axis=1)
    count = round(half / step)
    inner = sums[:, count:-count] - np.pad(sums, ((0, 0), (1, 0)))[:, : -2 * count - 1]
    fall = inner[:, :] - (sums[:, 2 * count :] - sums[:, count:-count])
    best = fall.argmax(axis=1)
    found = radii[count + best] * np.cos(offsets)
    # A fall that grows to the end of the ray belongs to something farther away.
    clear = (fall.max(axis=1) >= PARAMETERS.clear_hu * count) & (best < fall.shape[1] - 1)
    return float(np.median(found[clear])) if clear.mean() > 0.5 else np.nan


def _flat(left: Floats, behind: Floats) -> Floats:
    """Return (…, 3) patient LPS offsets in the axial plane."""
    return np.stack([left, behind, np.zeros_like(left)], axis=-1)


def _points(center: Floats, half: Floats) -> Floats:
    """Return (n, 3) points inside of an ellipse, evenly distributed."""
    counts = np.maximum(1, np.rint(half / PARAMETERS.point_mm)).astype(int)
    left, behind = (np.linspace(-1, 1, 2 * int(count) + 1) for count in counts)
    left, behind = (each.ravel() for each in np.meshgrid(left, behind))
    inside = np.hypot(left, behind) <= 1
    return np.asarray(center + _flat(half[0] * left[inside], half[1] * behind[inside]))


def _slab(points: Floats) -> Floats:
    """Return (steps, …, 3) copies of points over the thickness of the slab."""
    half = PARAMETERS.slab_mm / 2
    heights = np.linspace(-half, half, PARAMETERS.slab_steps)
    up = np.zeros((len(heights), *(1,) * points.ndim)) + np.array([0.0, 0.0, 1.0])
    return np.asarray(points + heights.reshape(-1, *(1,) * points.ndim) * up)


def slab_mean(volume: Volume, points: Floats) -> Floats:
    """Return the (…) HU of (…, 3) points, mean over the slab."""
    return np.asarray(sample(volume, _slab(points)).mean(axis=0))
