"""Header values that may lie, and where the slices of a series lie in the patient.

Nothing here raises on a missing or malformed value: the answer is None, and
``eligible`` turns it into a reason. Positions are patient LPS in mm (PS3.3 C.7.6.2.1.1).
"""

import math
import re
import warnings
from collections.abc import Sequence
from datetime import date
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.sequence import Sequence as Items

from worker.pipeline.results import Orientation

Array = npt.NDArray[np.float64]

# The patient axis that the slice normal of each orientation lies along: x, y, z.
NORMAL_AXIS: tuple[Orientation, Orientation, Orientation] = ("sagittal", "coronal", "axial")

# PS3.5 9.1: digits and dots, no empty component; what a series and its files are named by.
# Components with leading zeros are not allowed and still common.
UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*", re.ASCII)

Known = TypeVar("Known")


def known(value: Known | None) -> Known:
    """A value whose absence ``eligible`` has already turned into a reason."""
    if value is None:
        raise ValueError("A header value is used that was never checked.")
    return value


def value_of(ds: Dataset, keyword: str) -> object | None:
    """The value of an element, or None where it is absent, empty or malformed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = ds.get(keyword)
    except Exception:  # a malformed value makes the parser raise whatever it likes
        return None
    return None if value is None or value == "" else value


def text_of(ds: Dataset, keyword: str) -> str:
    """The value as stripped text, ``""`` where there is none."""
    value = value_of(ds, keyword)
    return "" if value is None else str(value).strip()


def date_of(ds: Dataset, keyword: str) -> date | None:
    """The date, or None where it is absent or not one (PS3.5 6.2, VR DA)."""
    text = text_of(ds, keyword)
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{8}", text) else None
    except ValueError:
        return None


def items_of(ds: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence, none where it is absent or malformed."""
    value = value_of(ds, keyword)
    return list(value) if isinstance(value, Items) else []


def uid_of(ds: Dataset, keyword: str) -> str:
    """The UID, ``""`` where there is none or the value is not one."""
    text = text_of(ds, keyword)
    return text if UID.fullmatch(text) else ""


def numbers_of(ds: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Exactly ``count`` finite numbers, or None."""
    value = value_of(ds, keyword)
    items = [value] if isinstance(value, (int, float, str)) else value
    try:
        numbers = tuple(float(item) for item in items)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return None
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        return None
    return numbers


def number_of(ds: Dataset, keyword: str) -> float | None:
    """One finite number, or None."""
    numbers = numbers_of(ds, keyword, 1)
    return None if numbers is None else numbers[0]


def position_of(ds: Dataset) -> Array | None:
    """(3,) centre of the first pixel, patient LPS mm (ImagePositionPatient)."""
    numbers = numbers_of(ds, "ImagePositionPatient", 3)
    return None if numbers is None else np.array(numbers)


def directions_of(ds: Dataset) -> Array | None:
    """(2, 3) unit directions of growing column index, then of growing row index.

    None where ImageOrientationPatient is missing or its two vectors are not orthogonal
    unit vectors (PS3.3 C.7.6.2.1.1).
    """
    numbers = numbers_of(ds, "ImageOrientationPatient", 6)
    if numbers is None:
        return None
    directions = np.array(numbers).reshape(2, 3)
    lengths = np.linalg.norm(directions, axis=1)
    if np.any(np.abs(lengths - 1) > 1e-2) or abs(directions[0] @ directions[1]) > 1e-2:
        return None
    return np.asarray(directions / lengths[:, None])


def spacing_of(ds: Dataset) -> tuple[float, float] | None:
    """(row spacing, column spacing) in mm, PS3.3 10.7.1.3; None unless both are plausible."""
    numbers = numbers_of(ds, "PixelSpacing", 2)
    if numbers is None or not all(0.05 <= number <= 10 for number in numbers):
        return None
    return numbers[0], numbers[1]


def frame_of(ds: Dataset) -> int | None:
    """The number of the frame that a slice is, counted from 1; None of a single-frame image.

    ``frames`` writes it as the one who refers to the slice must (PS3.3 Table 10-3).
    """
    number = number_of(ds, "ReferencedFrameNumber")
    return None if number is None else int(number)


def normal_of(directions: Array) -> Array:
    """(3,) slice normal."""
    return np.asarray(np.cross(directions[0], directions[1]))


def orientation_of(directions: Array) -> Orientation:
    """The nearest patient plane."""
    return NORMAL_AXIS[int(np.argmax(np.abs(normal_of(directions))))]


def obliquity_deg(directions: Array) -> float:
    """The largest angle of row, column and normal to their nearest patient axes, degrees."""
    axes = np.vstack([directions, normal_of(directions)])
    cosines = np.abs(axes).max(axis=1)
    return float(np.degrees(np.arccos(np.clip(cosines, -1, 1)).max()))


def distances_along(headers: Sequence[Dataset], normal: Array) -> Array | None:
    """(n,) positions of the slices along the normal, mm; None where one has no position."""
    positions = [position for ds in headers if (position := position_of(ds)) is not None]
    return np.array(positions) @ normal if len(positions) == len(headers) else None
