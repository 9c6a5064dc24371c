"""Whether contrast medium is in the vessels: seen in the femoral ones before it is read.

The header may name an agent that was drunk, or none that was injected.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline import geometry
from worker.pipeline.results import Femur, Series, Volume

# From the center of the head: common femoral artery and vein run down in front of it, the
# external iliac ones above, both between the skin and the joint.
MEDIAL_MM, LATERAL_MM = 35.0, 15.0
FRONT_MM, BEHIND_SURFACE_MM = 75.0, 4.0
ABOVE_MM, BELOW_MM = 40.0, 25.0

SMOOTH_MM = 4.0
MUSCLE_HU = (0.0, 110.0)
MIN_MUSCLE_MM3 = 5000.0
# Muscle has about 55 HU; blood without contrast medium 40, in the portal phase 120 to 180.
BRIGHTER_HU = 45.0
CALCIUM_HU = 400.0
# Partial volume beside bone is as bright as blood.
BONE_HU = 330.0
BONE_MARGIN_MM = 4.0
# Artery and vein of one side fill 5 ml of the box; without contrast medium up to 1.7 ml of it
# (bowel, calcium, noise) were as bright.
VESSEL_MM3 = 2000.0


def contrast_medium(series: Series, volume: Volume, femurs: Iterable[Femur]) -> str | None:
    """A warning where there is none; the header is asked only where no vessel is in view."""
    agent = geometry.text_of(series.headers[0], "ContrastBolusAgent").upper()
    named = agent not in ("", "NONE", "NO", "N")
    seen = enhanced(volume, femurs)
    if seen or (seen is None and named):
        return None
    absent = (
        "is not named in the header" if seen is None else "is not seen in the femoral vessels"
    )
    though = ", though the header names one" if named else ""
    return (
        f"Contrast medium {absent}{though}: the method was published for contrast-enhanced CT "
        "only."
    )


def enhanced(volume: Volume, femurs: Iterable[Femur]) -> bool | None:
    """Whether the vessels in front of either hip are clearly brighter than muscle; None where
    too little of their surroundings is in the field of view."""
    volumes = [mm3 for femur in femurs if (mm3 := vessel_mm3(volume, femur)) is not None]
    return max(volumes) >= VESSEL_MM3 if volumes else None


def vessel_mm3(volume: Volume, femur: Femur) -> float | None:
    """The largest connected piece that is brighter than muscle and no bone; None where no
    muscle is in view."""
    spacing = np.array(volume.spacing_mm)
    box = np.clip(_box(volume, femur).astype(np.float32), -200, 600)
    if min(box.shape) < 2:
        return None
    size = np.maximum(1, np.rint(SMOOTH_MM / spacing)).astype(int)
    smooth = ndimage.uniform_filter(box, size)
    margin = 2 * np.maximum(1, np.rint(BONE_MARGIN_MM / spacing)).astype(int) + 1
    bone = ndimage.maximum_filter(smooth, margin) > BONE_HU
    voxel_mm3 = float(spacing.prod())
    muscle = smooth[(smooth > MUSCLE_HU[0]) & (smooth < MUSCLE_HU[1]) & ~bone]
    if len(muscle) * voxel_mm3 < MIN_MUSCLE_MM3:
        return None
    bright = (smooth > np.median(muscle) + BRIGHTER_HU) & (smooth < CALCIUM_HU) & ~bone
    pieces, count = ndimage.label(bright)
    return float(np.bincount(pieces.ravel())[1:].max()) * voxel_mm3 if count else 0.0


def _box(volume: Volume, femur: Femur) -> npt.NDArray[np.int16]:
    x, y, z = femur.center_mm
    outward = -1.0 if femur.side == "R" else 1.0
    corners = volume.to_index(
        [
            (x - outward * MEDIAL_MM, y - FRONT_MM, z + ABOVE_MM),
            (x + outward * LATERAL_MM, y - femur.radius_mm - BEHIND_SURFACE_MM, z - BELOW_MM),
        ]
    )
    low = np.clip(np.floor(corners.min(axis=0)), 0, volume.hu.shape).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, volume.hu.shape).astype(int)
    return volume.hu[tuple(map(slice, low.tolist(), high.tolist()))]
