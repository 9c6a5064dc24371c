"""A trunk of plain shapes with a spine: levels, attenuation and faults are known exactly.

Positions are (left, behind, down) mm from the canal at the upper end; the affine puts the
upper end at z = 0 of the patient.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from worker.pipeline.volume import PointMm, Volume

Floats = npt.NDArray[np.float64]

AIR, FAT, MUSCLE, FLUID, DISC, CORTEX, ILIUM = -1000, -100, 55, 20, 90, 420, 500
CANAL = (12.0, 8.0)
BODY = (23.0, 16.0)
BODY_BEHIND = -26.0
DISC_MM = 7.0
THORACIC = ("T10", "T11", "T12")
FRONT_MM, BEHIND_MM, SIDE_MM = 100.0, 80.0, 125.0


@dataclass(frozen=True, slots=True, eq=False)
class SpinePhantom:
    """What is painted.

    ``heights_mm`` : body and disc below it. ``ribs_mm`` : how far from the middle the ribs of
    the last thoracic vertebra reach, right and left. ``trabecular_hu`` : by level, 150 where
    it is not named. ``dense`` : levels with cement. ``metal`` : levels with screws. ``bend_mm``
    : sideways shift in the middle. ``sacrum`` : whether it is in view. ``noise_hu`` : white.
    """

    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 2.5)
    lumbar: int = 5
    heights_mm: Mapping[str, float] = field(default_factory=dict)
    trabecular_hu: Mapping[str, float] = field(default_factory=dict)
    ribs_mm: tuple[float, float] = (85.0, 85.0)
    dense: tuple[str, ...] = ()
    metal: tuple[str, ...] = ()
    bend_mm: float = 0.0
    sacrum: bool = True
    noise_hu: float = 8.0

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the vertebrae from the upper end to the sacrum."""
        return *THORACIC, *(f"L{number + 1}" for number in range(self.lumbar))

    def height_mm(self, level: str) -> float:
        """Return the height of a vertebra with the disc below it."""
        return self.heights_mm.get(level, 28.0 if level.startswith("T") else 34.0)

    def top_mm(self, level: str) -> float:
        """Return where a vertebra begins, mm below the upper end."""
        above = self.levels[: self.levels.index(level)]
        return DISC_MM + sum(self.height_mm(each) for each in above)

    def middle_mm(self, level: str) -> PointMm:
        """Return the center of a body, patient LPS mm."""
        down = self.top_mm(level) + (self.height_mm(level) - DISC_MM) / 2
        return float(self.shift_mm(np.array(down))), BODY_BEHIND, -down

    def shift_mm(self, down: Floats) -> Floats:
        """Return how far to the left the spine is."""
        return np.asarray(self.bend_mm * np.sin(np.pi * down / self.length_mm))

    @property
    def length_mm(self) -> float:
        """From the upper end to the upper end of the sacrum."""
        return DISC_MM + sum(self.height_mm(level) for level in self.levels)


def build_volume(phantom: SpinePhantom) -> Volume:
    """Paint a phantom as a canonical coronal volume."""
    behind_step, down_step, left_step = phantom.spacing_mm
    behind = np.arange(-FRONT_MM, BEHIND_MM, behind_step)[:, None, None]
    length = phantom.length_mm + (60.0 if phantom.sacrum else -phantom.height_mm("L5"))
    down = np.arange(0.0, length, down_step)[None, :, None]
    left = np.arange(-SIDE_MM, SIDE_MM, left_step)[None, None, :]
    hu = np.broadcast_to(_trunk(left, behind), np.broadcast_shapes(left.shape, behind.shape))
    hu = np.repeat(hu, down.size, axis=1)
    left = left - phantom.shift_mm(down)
    _paint_soft(hu, left, behind)
    for level in phantom.levels:
        _paint_vertebra(hu, phantom, level, (left, behind, down - phantom.top_mm(level)))
    _paint_ribs(hu, phantom, (left, behind, down))
    if phantom.sacrum:
        _paint_sacrum(hu, (left, behind, down - phantom.length_mm))
    noise = np.random.default_rng(4).normal(0, phantom.noise_hu, hu.shape)
    affine = np.zeros((4, 4))
    affine[:3, :3] = [[0, 0, left_step], [behind_step, 0, 0], [0, -down_step, 0]]
    affine[:, 3] = -SIDE_MM, -FRONT_MM, 0, 1
    return Volume(np.rint(hu + noise).astype(np.int16), affine)


def _trunk(left: Floats, behind: Floats) -> Floats:
    radius = np.hypot(left / 120, (behind + 15) / 85)
    return np.where(radius < 0.9, MUSCLE, np.where(radius < 1, FAT, AIR)).astype(np.float64)


def _paint_soft(hu: Floats, left: Floats, behind: Floats) -> None:
    """Paint discs over the whole length, and the canal."""
    hu[np.hypot(left / BODY[0], (behind - BODY_BEHIND) / BODY[1]) + 0 * hu < 1] = DISC
    hu[np.hypot(left / CANAL[0], behind / CANAL[1]) + 0 * hu < 1] = FLUID


def _paint_vertebra(
    hu: Floats, phantom: SpinePhantom, level: str, at: tuple[Floats, Floats, Floats]
) -> None:
    left, behind, down = at
    height = phantom.height_mm(level)
    share = down / height
    body_mm = height - DISC_MM
    inside = (down >= 0) & (down < body_mm)
    radius = np.hypot(left / BODY[0], (behind - BODY_BEHIND) / BODY[1])
    hu[inside & (radius < 1)] = CORTEX
    core = (down >= 2.5) & (down < body_mm - 2.5) & (radius < 0.84)
    hu[core] = phantom.trabecular_hu.get(level, 150.0)
    if level in phantom.dense:
        hu[(np.abs(down - body_mm / 2) < 8) & (radius < 0.5)] = 1200
    side = np.abs(left)
    ring = np.hypot(left / (CANAL[0] + 5), behind / (CANAL[1] + 5)) < 1
    ring &= np.hypot(left / CANAL[0], behind / CANAL[1]) >= 1
    hu[ring & (behind > 3) & (share >= 0) & (share < 0.8)] = CORTEX
    pedicle = (side > CANAL[0]) & (side < 19) & (behind > -14) & (behind < 4)
    hu[pedicle & (share > 0.08) & (share < 0.5)] = CORTEX
    facet = (side > 11) & (side < 19) & (behind > 1) & (behind < 14)
    hu[facet & (share > 0) & (share < 1)] = CORTEX
    process = (side > 15) & (side < 42) & (behind > 2) & (behind < 8)
    hu[process & (share > 0.2) & (share < 0.45)] = CORTEX
    spinous = (side < 4) & (behind > 12) & (behind < 45)
    hu[spinous & (share > 0.2) & (share < 0.7)] = CORTEX
    if level in phantom.metal:
        screw = (side > 13) & (side < 18) & (behind > -30) & (behind < 8)
        hu[screw & (np.abs(share - 0.3) < 0.08)] = 3000


def _paint_ribs(hu: Floats, phantom: SpinePhantom, at: tuple[Floats, Floats, Floats]) -> None:
    left, behind, down = at
    for level in THORACIC:
        start = phantom.top_mm(level) + 6
        for sign, reach in zip((-1, 1), phantom.ribs_mm, strict=True):
            out = sign * left
            far = reach if level == THORACIC[-1] else 110.0
            along = (out > 17) & (out < far)
            across = np.hypot(behind - 6 - 0.15 * out, down - start - 0.3 * (out - 17))
            hu[along & (across < 5)] = CORTEX


def _paint_sacrum(hu: Floats, at: tuple[Floats, Floats, Floats]) -> None:
    left, behind, down = at
    side = np.abs(left)
    below = down >= 0
    hu[below & (side < 44) & (behind > -36) & (behind < -9)] = 220
    hu[below & (down < 2.5) & (side < 44) & (behind > -36) & (behind < -9)] = CORTEX
    walls = (side > CANAL[0]) & (side < 20) & (behind > -12) & (behind < 10)
    hu[below & walls & (down % 28 < 18)] = CORTEX
    hu[below & (side < 18) & (behind > 9) & (behind < 14)] = CORTEX
    ilium = (side > 44) & (side < 58) & (behind > -30) & (behind < 35)
    hu[(down > -15) & ilium] = ILIUM
