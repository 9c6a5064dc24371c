"""Which series and which hips may be graded: one small function a reason.

``images`` has looked at the headers before they were sorted; ``check_series`` looks at a
sorted series, ``check_hip`` and ``missing_hip`` at one side of a volume. Every rule answers
None or a ``Reason`` whose sentence carries the numbers and never patient data.
"""

import re
from collections.abc import Callable, Iterable
from datetime import date
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from scipy import ndimage

from worker.pipeline import geometry
from worker.pipeline.geometry import known
from worker.pipeline.results import Femur, Reason, ReasonCode, Series, Side, Volume

MIN_SLICES = 10
MAX_OBLIQUITY_DEG = 20.0
MAX_GANTRY_TILT_DEG = 2.0
# Rounded positions make steps uneven by a few per cent; a missing slice doubles one.
MAX_UNEVENNESS = 0.25
SAME_POSITION_MM = 0.01
MAX_SLICE_SPACING_MM = 6.0
MIN_AGE_YEARS = 18

# Cortical bone stays under 1,700 HU in our real and simulated volumes, and under about 2,000
# with sharp kernels; titanium and steel begin beyond 3,000 and lose little to partial volume.
METAL_HU = 2200
METAL_MM3 = 150.0
# From the head's centre along the neck to the trochanter; the bladder lies farther away.
METAL_REACH_MM = 35.0
PROSTHESIS_MM3 = 500.0
MIDLINE_MM = 50.0
HIP_HEIGHT_MM = 80.0

# What a coronal picture must show of the head: nearly all of its outline, and in depth more
# than half, or the plane through its middle is not there.
CUT_IN_PLANE = 0.15
CUT_IN_DEPTH = 0.55
NECK_MARGIN_MM = 8.0
TROCHANTER_ALONG_NECK = 1.8
PADDING_HU = -1000
SIDE_NAMES: dict[Side, str] = {"R": "right", "L": "left"}

SeriesRule = Callable[[Series], Reason | None]


def check_series(series: Series) -> Reason | None:
    """The first reason why a sorted series cannot be screened, or None."""
    return next((reason for rule in SERIES_RULES if (reason := rule(series))), None)


def too_few_slices(series: Series) -> Reason | None:
    """A volume needs slices."""
    count = len(series.headers)
    if count >= MIN_SLICES:
        return None
    slices = "slice" if count == 1 else "slices"
    return Reason(
        ReasonCode.TOO_FEW_SLICES, f"{count} {slices}, at least {MIN_SLICES} are needed."
    )


def orientation(series: Series) -> Reason | None:
    """Coronal or axial, near the patient's axes."""
    if series.orientation == "sagittal":
        return Reason(ReasonCode.ORIENTATION, "Sagittal slices; coronal or axial are needed.")
    angle = geometry.obliquity_deg(_directions(series))
    if angle > MAX_OBLIQUITY_DEG:
        text = f"Oblique by {angle:.0f}°, at most {MAX_OBLIQUITY_DEG:.0f}° are accepted."
        return Reason(ReasonCode.ORIENTATION, text)
    return None


def gantry_tilt(series: Series) -> Reason | None:
    """Slices shifted against each other: the positions tell it, the header's tilt may lie."""
    first, last = (known(geometry.position_of(series.headers[i])) for i in (0, -1))
    step = last - first
    length = float(np.linalg.norm(step))
    if length < SAME_POSITION_MM:
        return None
    cosine = abs(float(step @ geometry.normal_of(_directions(series)))) / length
    angle = float(np.degrees(np.arccos(min(1.0, cosine))))
    if angle <= MAX_GANTRY_TILT_DEG:
        return None
    return Reason(
        ReasonCode.ORIENTATION, f"The slices are sheared by {angle:.0f}° (gantry tilt)."
    )


def gaps(series: Series) -> Reason | None:
    """Even steps, no position twice, no step too wide to see a neck."""
    distances = geometry.distances_along(
        series.headers, geometry.normal_of(_directions(series))
    )
    assert distances is not None  # noqa: S101 - no_geometry saw to it
    steps = np.array([after - before for before, after in pairwise(distances)])
    if steps.size == 0:
        return None
    doubles = int((steps < SAME_POSITION_MM).sum())
    if doubles:
        text = f"{doubles} of {len(distances)} slices lie at a position that is taken."
        return Reason(ReasonCode.GAPS, text)
    usual, widest = float(np.median(steps)), float(steps.max())
    if np.abs(steps - usual).max() > MAX_UNEVENNESS * usual:
        text = f"Missing or uneven slices: usually {usual:.1f} mm apart, up to {widest:.1f} mm."
        return Reason(ReasonCode.GAPS, text)
    if usual > MAX_SLICE_SPACING_MM:
        limit = f"at most {MAX_SLICE_SPACING_MM:.0f} mm are accepted"
        return Reason(ReasonCode.GAPS, f"Slices are {usual:.1f} mm apart, {limit}.")
    return None


def too_young(series: Series) -> Reason | None:
    """Growing bone is another question. Any header that says so counts; none is normal."""
    ds = series.headers[0]
    ages = (_stated_age_years(ds), _age_by_dates_years(ds))
    if any(age is not None and age < MIN_AGE_YEARS for age in ages):
        text = f"The patient is younger than {MIN_AGE_YEARS} years."
        return Reason(ReasonCode.TOO_YOUNG, text)
    return None


def check_hip(volume: Volume, femur: Femur) -> Reason | None:
    """The first reason why a femur that was found cannot be graded, or None."""
    return metal(volume, femur) or cut_off(volume, femur)


def metal(volume: Volume, femur: Femur) -> Reason | None:
    """A prosthesis, nail, plate or screw in head, neck or trochanter."""
    head, neck = np.array(femur.center_mm), np.array(femur.neck_mm)
    reach = head + 2 * TROCHANTER_ALONG_NECK * np.linspace(0, 0.5, 5)[:, None] * (neck - head)
    found = _metal_mm3(volume, reach, METAL_REACH_MM)
    if found < METAL_MM3:
        return None
    text = f"{found / 1000:.1f} ml of metal at the {SIDE_NAMES[femur.side]} hip."
    return Reason(ReasonCode.METAL, text)


def cut_off(volume: Volume, femur: Femur) -> Reason | None:
    """Head, neck or trochanter outside of the volume or of the scanner's field of view."""
    side = SIDE_NAMES[femur.side]
    head, neck = np.array(femur.center_mm), np.array(femur.neck_mm)
    depth, rows, columns = femur.radius_mm - _to_edge_mm(volume, head)
    diameter = 2 * femur.radius_mm
    if (
        max(rows, columns) > CUT_IN_PLANE * femur.radius_mm
        or depth > CUT_IN_DEPTH * femur.radius_mm
    ):
        cut = max(depth, rows, columns)
        text = f"{cut:.0f} of {diameter:.0f} mm of the {side} femoral head are cut off."
        return Reason(ReasonCode.NO_FEMUR, text)
    trochanter = head + TROCHANTER_ALONG_NECK * (neck - head)
    for name, position in (("neck", neck), ("trochanter", trochanter)):
        outside = _to_edge_mm(volume, position).min() < NECK_MARGIN_MM
        if outside or _is_padding(volume, position):
            text = f"The {name} of the {side} femur is cut off."
            return Reason(ReasonCode.NO_FEMUR, text)
    return None


def missing_hip(volume: Volume, side: Side, found: Iterable[Femur]) -> Reason:
    """Why one side has no femur: a prosthesis in its place, or none in the volume."""
    name = SIDE_NAMES[side]
    hot = volume.to_mm(np.argwhere(volume.hu >= METAL_HU))
    voxel_mm3 = float(np.prod(volume.spacing_mm))
    center = volume.to_mm((np.array(volume.hu.shape) - 1) / 2)
    across = hot[:, 0] - center[0]
    near = across > MIDLINE_MM if side == "L" else across < -MIDLINE_MM
    for femur in found:
        near &= np.abs(hot[:, 2] - femur.center_mm[2]) < HIP_HEIGHT_MM
    if near.sum() * voxel_mm3 >= PROSTHESIS_MM3:
        text = f"{near.sum() * voxel_mm3 / 1000:.0f} ml of metal in place of the {name} hip."
        return Reason(ReasonCode.METAL, text)
    text = f"No {name} femoral head with its neck was found in the field of view."
    return Reason(ReasonCode.NO_FEMUR, text)


SERIES_RULES: tuple[SeriesRule, ...] = (
    orientation, too_few_slices, gantry_tilt, gaps, too_young
)  # fmt: skip


def _directions(series: Series) -> geometry.Array:
    return known(geometry.directions_of(series.headers[0]))


def _metal_mm3(volume: Volume, points_mm: npt.NDArray[np.float64], reach_mm: float) -> float:
    """Volume of the largest piece of metal within reach of any of (n, 3) points."""
    index = volume.to_index(points_mm)
    margin = reach_mm / np.array(volume.spacing_mm)
    low = np.clip(np.floor(index.min(axis=0) - margin), 0, volume.hu.shape).astype(int)
    high = np.clip(np.ceil(index.max(axis=0) + margin) + 1, 0, volume.hu.shape).astype(int)
    box = volume.hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    hot = box >= METAL_HU
    if not hot.any():
        return 0.0
    pieces, _ = ndimage.label(hot, structure=np.ones((3, 3, 3)))
    places = np.argwhere(hot)
    positions = volume.to_mm(places + low)
    near = np.zeros(len(places), bool)
    for point in points_mm:
        near |= np.linalg.norm(positions - point, axis=1) <= reach_mm
    counts = np.bincount(pieces[tuple(places[near].T)]) if near.any() else np.zeros(1)
    return float(counts.max() * np.prod(volume.spacing_mm))


def _to_edge_mm(
    volume: Volume, position_mm: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(3,) mm to the nearer edge of the volume along slices, rows and columns."""
    index = volume.to_index(position_mm)
    nearer = np.minimum(index + 0.5, np.array(volume.hu.shape) - 0.5 - index)
    return np.asarray(nearer * volume.spacing_mm)


def _is_padding(volume: Volume, position_mm: npt.NDArray[np.float64]) -> bool:
    """Whether the scanner's round field of view ends here: air where bone must be."""
    index = np.rint(volume.to_index(position_mm)).astype(int)
    return bool(volume.hu[tuple(index)] <= PADDING_HU)


def _stated_age_years(ds: Dataset) -> float | None:
    """PatientAge, PS3.5 6.2 VR AS: three digits and D, W, M or Y."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", geometry.text_of(ds, "PatientAge").upper())
    if match is None:
        return None
    return int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[match[2]]


def _age_by_dates_years(ds: Dataset) -> float | None:
    born = _date(geometry.text_of(ds, "PatientBirthDate"))
    studied = _date(geometry.text_of(ds, "StudyDate"))
    if born is None or studied is None or studied < born:
        return None
    return (studied - born).days / 365.25


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{8}", text) else None
    except ValueError:
        return None
