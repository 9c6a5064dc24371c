"""Warning for series without intravenous contrast medium.

It is looked for in the femoral vessels first: the header may name an agent that was given
orally, or omit one that was injected.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from worker.pipeline import header_values
from worker.pipeline.volume import Femur, Series, Volume

# Box around the vessels, from the center of the head: common femoral artery and vein run down
# in front of it, the external iliac ones above, both between the skin and the joint.
MEDIAL_MM, LATERAL_MM = 35.0, 15.0
FRONT_MM, BEHIND_SURFACE_MM = 75.0, 4.0
ABOVE_MM, BELOW_MM = 40.0, 25.0

SMOOTH_MM = 4.0
MUSCLE_HU = (0.0, 110.0)
MIN_MUSCLE_MM3 = 5000.0
# Muscle has about 55 HU; blood without contrast medium 40, in the portal phase 120 to 180.
BRIGHTER_HU = 45.0
CALCIUM_HU = 400.0
# Partial volume beside bone is as bright as enhanced blood.
BONE_HU = 330.0
BONE_MARGIN_MM = 4.0
# Artery and vein of one side fill 5 ml of the box; without contrast medium up to 1.7 ml
# (bowel, calcium, noise) were as bright.
VESSEL_MM3 = 2000.0


def contrast_warning(series: Series, volume: Volume, femurs: Iterable[Femur]) -> str | None:
    """Return a warning where there is no contrast medium in the vessels.

    The header counts only where no vessel is in view.
    """
    agent = header_values.text_of(series.headers[0], "ContrastBolusAgent").upper()
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
    """Return whether the vessels in front of either hip are clearly brighter than muscle.

    None where too little of their surroundings is in the field of view.
    """
    volumes = [mm3 for femur in femurs if (mm3 := vessel_mm3(volume, femur)) is not None]
    return max(volumes) >= VESSEL_MM3 if volumes else None


def vessel_mm3(volume: Volume, femur: Femur) -> float | None:
    """Return the volume of the largest connected piece brighter than muscle, bone excluded.

    None where no muscle is in view.
    """
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
    corners_mm = [
        (x - outward * MEDIAL_MM, y - FRONT_MM, z + ABOVE_MM),
        (x + outward * LATERAL_MM, y - femur.radius_mm - BEHIND_SURFACE_MM, z - BELOW_MM),
    ]
    return volume.hu[volume.box_around(corners_mm)]
