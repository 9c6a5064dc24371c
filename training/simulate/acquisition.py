"""Acquisition of one series: grid, thickness, kernel, tube voltage, noise."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from training.simulate.anatomy.frames import body_frame, hip_frame
from training.simulate.subject import SIDES, Subject
from worker.pipeline.volume import Orientation, Side

Kernel = Literal["soft", "standard", "bone", "sharp"]
View = Literal["abdomen-pelvis", "pelvis", "one-hip", "abdomen", "chest", "knees"]
"""Field of view; ``chest`` is liver to neck, ``knees`` is middle of the thighs to shins."""

KERNELS: tuple[Kernel, ...] = ("soft", "standard", "standard", "standard", "bone", "sharp")
KVP, KVP_SHARES = (80, 100, 120, 140), (0.08, 0.32, 0.5, 0.1)


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Grid of a series in patient LPS mm, and the settings of the scanner.

    ``center_mm`` : middle of the whole grid. ``scan_mm`` : lowest and highest scanned z,
    beyond which is padding. ``noise_hu`` : SD in the middle of an average pelvis.
    ``offset_hu`` : calibration error of water. ``reverse`` : slices run posterior → anterior
    (coronal) or head → feet (axial).

    Names of class and fields are part of the series' UID (``series.derive_uid``).
    """

    seed: int
    plane: Orientation
    rows: int
    columns: int
    slices: int
    pixel_mm: float
    increment_mm: float
    thickness_mm: float
    center_mm: tuple[float, float, float]
    scan_mm: tuple[float, float]
    kernel: Kernel
    kvp: int
    noise_hu: float
    streaks: float
    offset_hu: float
    reverse: bool
    field_of_view_mm: float
    padding_hu: int
    side: Side | None = None

    def directions(self) -> npt.NDArray[np.float64]:
        """Return the (3, 3) unit vectors in LPS as columns: slice, row and column steps."""
        forward = -1.0 if self.reverse else 1.0
        columns = {
            "coronal": ((0, forward, 0), (0, 0, -1), (1, 0, 0)),
            "axial": ((0, 0, forward), (0, 1, 0), (1, 0, 0)),
            "sagittal": ((forward, 0, 0), (0, 0, -1), (0, 1, 0)),
        }[self.plane]
        return np.array(columns, dtype=np.float64).T

    def affine(self) -> npt.NDArray[np.float64]:
        """Return the (4, 4) matrix from voxel center (slice, row, column, 1) to LPS mm."""
        steps = np.array([self.increment_mm, self.pixel_mm, self.pixel_mm])
        counts = np.array([self.slices, self.rows, self.columns])
        matrix = np.eye(4)
        matrix[:3, :3] = self.directions() * steps
        matrix[:3, 3] = self.center_mm - matrix[:3, :3] @ ((counts - 1) / 2)
        return matrix


def sample_acquisition(
    rng: np.random.Generator,
    subject: Subject,
    plane: Orientation = "coronal",
    view: View | None = None,
    **fixed: Any,
) -> Acquisition:
    """Return a plausible scan of the subject; any field of ``Acquisition`` may be fixed.

    ``view`` : field of view; by default mostly abdomen and pelvis, at times the pelvis alone.
    Raises TypeError for an unknown name.
    """
    _check_names(fixed)
    drawn: View = "abdomen-pelvis" if rng.random() < 0.75 else "pelvis"
    view = view or drawn
    side = SIDES[int(rng.integers(2))]
    low, high = _scan_range(rng, subject, view)
    size = int(fixed.get("rows", 512))
    field_of_view = _field_of_view(rng, subject, view, plane, high - low)
    pixel = float(fixed.get("pixel_mm", round(field_of_view / size, 4)))
    thickness = float(fixed.get("thickness_mm", _thickness(rng, plane)))
    increment = float(fixed.get("increment_mm", thickness))
    kernel = KERNELS[rng.integers(6)]
    x, y, z = (float(v) for v in _center(rng, subject, view, side, (low, high)))
    if plane != "axial" and view not in ("abdomen", "chest"):
        # An image shorter than the scan cuts off the chest, not the hips.
        z = min(z, low + size * pixel / 2)
    acquisition = Acquisition(
        seed=int(rng.integers(2**31)),
        plane=plane,
        rows=size,
        columns=int(fixed.get("columns", size)),
        slices=_slices(subject, plane, view, increment, high - low),
        pixel_mm=pixel,
        increment_mm=increment,
        thickness_mm=thickness,
        center_mm=(round(x, 2), round(y, 2), round(z, 2)),
        scan_mm=(round(low, 1), round(high, 1)),
        kernel=kernel,
        kvp=KVP[rng.choice(4, p=KVP_SHARES)],
        noise_hu=_noise(rng, fixed.get("kernel", kernel), thickness),
        streaks=float(rng.uniform(0.0, 1.0)),
        offset_hu=float(np.clip(rng.normal(0.0, 3.0), -8, 8)),
        reverse=bool(rng.random() < 0.3),
        field_of_view_mm=500.0,
        padding_hu=-1024,
        side=side if view == "one-hip" else None,
    )
    return replace(acquisition, **fixed)


def _check_names(fixed: Mapping[str, Any]) -> None:
    unknown = set(fixed) - {field.name for field in fields(Acquisition)}
    if unknown:
        raise TypeError(f"unknown: {', '.join(sorted(unknown))}")


def _scan_range(rng: np.random.Generator, subject: Subject, view: View) -> tuple[float, float]:
    """Return the lowest and highest z in patient mm."""
    z = body_frame(subject).origin[2]
    s = subject.body.scale
    low = z - rng.uniform(82, 150) * s
    high = z + rng.uniform(310, 400) * s
    if view == "pelvis":
        low, high = z - rng.uniform(90, 210) * s, z + rng.uniform(130, 230) * s
    elif view == "one-hip":
        low, high = z - rng.uniform(90, 170) * s, z + rng.uniform(60, 150) * s
    elif view == "abdomen":
        low = z + rng.uniform(75, 110) * s
    elif view == "chest":
        low, high = z + rng.uniform(300, 350) * s, z + rng.uniform(590, 640) * s
    elif view == "knees":
        low, high = z - rng.uniform(490, 540) * s, z - rng.uniform(180, 250) * s
    return float(low), float(high)


def _field_of_view(
    rng: np.random.Generator, subject: Subject, view: View, plane: Orientation, length: float
) -> float:
    """Return the edge of the square image in mm, 250–500."""
    if view == "one-hip":
        return float(rng.uniform(180, 280))
    width = 2 * (165 * subject.body.scale + subject.body.fat_mm * 1.3)
    wanted = width * rng.uniform(0.92, 1.2)
    if plane == "coronal":
        wanted = max(wanted, length * rng.uniform(0.9, 1.05))
    return float(np.clip(wanted, 250, 500))


def _thickness(rng: np.random.Generator, plane: Orientation) -> float:
    if plane == "axial":
        return float((0.6, 1.0, 1.25, 2.0, 2.5, 3.0, 5.0)[rng.integers(7)])
    return float((2.0, 2.5, 3.0, 3.0, 3.0, 4.0)[rng.integers(6)])


def _slices(
    subject: Subject, plane: Orientation, view: View, increment: float, length: float
) -> int:
    if plane == "axial":
        return int(length / increment)
    depth = 2 * (108 * subject.body.scale + subject.body.fat_mm) + 25
    if plane == "sagittal":
        depth = 300.0
    if view == "one-hip":
        depth = min(depth, 190.0)
    return int(np.clip(depth / increment, 12, 160))


def _noise(rng: np.random.Generator, kernel: Kernel, thickness: float) -> float:
    base = {"soft": 9.0, "standard": 12.0, "bone": 24.0, "sharp": 34.0}[kernel]
    value = base * (3.0 / thickness) ** 0.4 * np.exp(rng.normal(0.0, 0.32))
    return float(np.clip(value, 5.0, 75.0))


def _center(
    rng: np.random.Generator, subject: Subject, view: View, side: Side,
    scan: tuple[float, float],
) -> npt.NDArray[np.float64]:  # fmt: skip
    middle = body_frame(subject).origin.copy()
    middle[1] += 16.0
    if view == "one-hip":
        middle[0] = hip_frame(subject, side).origin[0]
        middle[:2] += rng.normal(0, 10, 2)
    else:
        middle[:2] += rng.normal(0, 6, 2)
    middle[2] = sum(scan) / 2
    return np.asarray(middle)
