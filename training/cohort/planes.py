"""Plane of one simulated hip, rendered without the rest of its series.

The plane is the one that the worker would choose. Only the pixels that a crop needs are
rendered, by the code that renders whole series. The finder is not run: head and neck are the
true ones with the finder's error added. The effect of the finder on the grades is measured on
whole series (``training.evaluate.end_to_end``).
"""

import numpy as np
import numpy.typing as npt

from training.simulate import scanner
from training.simulate.acquisition import Acquisition
from training.simulate.anatomy.femur import outline
from training.simulate.anatomy.frames import femur_frame
from training.simulate.subject import Subject
from training.simulate.truth import HipTruth
from worker.pipeline.crop import CROP_PX
from worker.pipeline.femurs import planes
from worker.pipeline.reformat import canonical, resample_rows, slab_grid, slab_means
from worker.pipeline.results import HipCrop
from worker.pipeline.volume import Femur, Plane, PointMm, Volume, to_point
from worker.pipeline.volume_layout import PLANE_DISTANCE_MM

# Standard deviations along each axis that reproduce the distances measured on 300 held-out
# volumes (docs/decisions/0002): head p50 0.7, p95 3.8 mm; neck p50 3.1, p95 7.0 mm.
HEAD_ERROR_MM = 1.2
NECK_ERROR_MM = 2.3
SHAFT_ERROR_DEG = 2.0
# Half of the rendered region: half a crop (122 mm) and a margin for filters.
REACH_MM = 128.0


def sample_found_femur(rng: np.random.Generator, hip: HipTruth) -> Femur:
    """Return the true femur with a random error of the finder's size added."""

    def displaced(point: PointMm, error_mm: float) -> PointMm:
        x, y, z = np.add(point, rng.normal(0.0, error_mm, 3)).tolist()
        return x, y, z

    center = displaced(hip.center_mm, HEAD_ERROR_MM)
    neck = displaced(hip.neck_mm, NECK_ERROR_MM)
    trochanter = displaced(hip.trochanter_mm, NECK_ERROR_MM)
    down = hip.shaft_direction + rng.normal(0.0, np.radians(SHAFT_ERROR_DEG), 3)
    return Femur(
        hip.side,
        center,
        hip.radius_mm,
        neck,
        confidence=1.0,
        trochanter_mm=trochanter,
        shaft_direction=to_point(down / np.linalg.norm(down)),
    )


def plane_of(subject: Subject, acquisition: Acquisition, femur: Femur) -> Plane:
    """Return the plane through a femur, as far as the crop reaches.

    Of a coronal series it is a slice; of an axial series it is a cut through head and neck
    after the worker's reformatting.
    """
    if acquisition.plane == "axial":
        volume = _axial_part(subject, acquisition, femur)
        return planes.cut_through(volume, femur)
    share = planes.PARAMETERS.neck_share
    _, y, _ = (1 - share) * np.array(femur.center_mm) + share * np.array(femur.neck_mm)
    return coronal_slice(subject, acquisition, femur, float(y))


def coronal_slice(
    subject: Subject, acquisition: Acquisition, femur: Femur, depth_mm: float
) -> Plane:
    """Return the slice nearest to y = ``depth_mm`` (LPS), as far as the crop reaches."""
    affine = acquisition.affine()
    x, _, z = femur.neck_mm
    middle = np.linalg.solve(affine, [x, depth_mm, z, 1.0])[:3]
    index = int(np.clip(round(middle[0]), 0, acquisition.slices - 1))
    low, high = _index_box(acquisition, (x, depth_mm, z), (REACH_MM, 0.0, REACH_MM))
    rows, columns = (slice(int(a), int(b)) for a, b in zip(low[1:], high[1:], strict=True))
    hu = scanner.render(subject, acquisition, [index], rows, columns)
    x, y, z = (affine @ [index, low[1], low[2], 1.0])[:3].tolist()
    pixel_mm = acquisition.pixel_mm
    return Plane(0, hu[0], (x, y, z), pixel_mm, pixel_mm, source_sop_uid=None)


def _axial_part(subject: Subject, acquisition: Acquisition, femur: Femur) -> Volume:
    """Return the part of the reformatted coronal volume that contains the tilted plane.

    The steps are those of the worker (``load.read_volume``).
    """
    along = np.abs(np.subtract(femur.neck_mm, femur.center_mm))
    tilt = min(
        float(np.arctan2(along[1], along[0])), np.radians(planes.PARAMETERS.max_tilt_deg)
    )
    depth = REACH_MM * float(np.sin(tilt)) + 8.0
    low, high = _index_box(acquisition, femur.neck_mm, (REACH_MM, depth, REACH_MM))
    thickness = max(1, round(PLANE_DISTANCE_MM / acquisition.pixel_mm))
    # Slabs are counted from the first row of the image, the new rows from the head.
    low[1] = low[1] // thickness * thickness
    affine = acquisition.affine()
    if affine[2, 0] > 0:
        high[0] = acquisition.slices
    else:
        low[0] = 0
    rows, columns = slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2]))
    slabs = [
        slab_means(
            scanner.render(subject, acquisition, [index], rows, columns)[0].astype(np.float32),
            thickness,
        )
        for index in range(int(low[0]), int(high[0]))
    ]
    affine[:3, 3] = (affine @ [*low, 1.0])[:3]
    volume = Volume(np.rint(slabs).astype(np.int16), affine @ slab_grid(thickness, 0))
    return resample_rows(canonical(volume), acquisition.pixel_mm)


def _index_box(
    acquisition: Acquisition, center_mm: PointMm, reach_mm: tuple[float, float, float]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return lowest and one past highest index (slice, row, column) of a box in the grid."""
    signs = np.array([[-1.0], [1.0]]) * np.array(reach_mm)
    corners = np.add(center_mm, signs)
    indices = (corners - acquisition.affine()[:3, 3]) @ np.linalg.inv(
        acquisition.affine()[:3, :3]
    ).T
    size = np.array([acquisition.slices, acquisition.rows, acquisition.columns])
    low = np.clip(np.floor(indices.min(axis=0)).astype(int), 0, size - 2)
    high = np.clip(np.ceil(indices.max(axis=0)).astype(int) + 1, low + 2, size)
    return low, high


def outline_of(subject: Subject, crop: HipCrop, side: str) -> npt.NDArray[np.bool_]:
    """Return the (250, 250) mask of the crop's pixels inside the true femur."""
    hip = next(hip for hip in subject.hips if hip.side == side)
    corner, right, _, bottom = np.array(crop.corners_mm)
    share = (np.arange(CROP_PX) + 0.5) / CROP_PX
    points = (  # (row, column, xyz)
        corner
        + share[:, None, None] * (bottom - corner)
        + share[None, :, None] * (right - corner)
    )
    x, y, z = (points[None, ..., axis].astype(np.float32) for axis in range(3))
    femur = femur_frame(subject, hip)
    return np.asarray(outline(femur.frame.local((x, y, z)), hip, femur)[0] <= 0)
