"""Values of DICOM headers that may be missing or malformed, and the geometry of slices.

Nothing here raises for a missing or malformed value: the functions return None or ``""``, and
the rules of ``images``, ``stack`` and ``eligibility`` turn that into a reason. Positions are
patient LPS in mm (PS3.3 C.7.6.2.1.1).
"""

import math
import warnings
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import date
from functools import cache, lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag, Tag

from common.dicom.patient_values import parse_date, stated_text
from common.dicom.uids import is_valid_uid
from worker.pipeline.volume import Orientation

Array = npt.NDArray[np.float64]

# Orientation of slices whose normal lies along the patient's x, y or z axis.
NORMAL_AXIS: tuple[Orientation, Orientation, Orientation] = ("sagittal", "coronal", "axial")

# Value representations whose values need nothing of the data set: no character set, no items.
SELF_CONTAINED_VRS = frozenset(
    ("AS", "CS", "DA", "DS", "DT", "FD", "IS", "TM", "UI", "UL", "US")
)
MAX_SHARED_BYTES = 256

Value = TypeVar("Value")


def require(value: Value | None) -> Value:
    """Return a value that the rules have already checked. Raises ValueError for None."""
    if value is None:
        raise ValueError("A header value is used that was never checked.")
    return value


def value_of(ds: Dataset, keyword: str) -> object | None:
    """Return the value of an element, None where it is absent, empty or malformed.

    Do not change the value: images with the same encoded value share it.
    """
    tag = _tag_of(keyword)
    element: object = None if tag is None else ds.get_item(tag)
    if isinstance(element, DataElement):
        value = element.value
    elif element is None:
        return None
    else:
        try:
            value = _convert(element, ds, keyword)
        except Exception:  # a malformed value makes the parser raise whatever it likes
            return None
    return None if value is None or value == "" else value


def _convert(element: RawDataElement, ds: Dataset, keyword: str) -> object:
    """Convert an encoded value.

    Most values of a series are equal in all images, and the conversion takes most of the time.
    """
    encoded = element.value
    alone = _is_self_contained(keyword) and element.VR != "SQ"
    if alone and isinstance(encoded, bytes) and len(encoded) <= MAX_SHARED_BYTES:
        byte_order = element.is_little_endian
        return _shared(element.tag, element.VR, encoded, element.is_implicit_VR, byte_order)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ds.get(keyword)


@lru_cache(maxsize=4096)
def _shared(
    tag: BaseTag, vr: str | None, encoded: bytes, implicit: bool, little_endian: bool
) -> object:
    raw = RawDataElement(tag, vr, len(encoded), encoded, 0, implicit, little_endian)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert_raw_data_element(raw).value


@cache
def _is_self_contained(keyword: str) -> bool:
    return dictionary_VR(keyword) in SELF_CONTAINED_VRS


@cache
def _tag_of(keyword: str) -> BaseTag | None:
    tag = tag_for_keyword(keyword)
    return None if tag is None else Tag(tag)


def distinct(
    headers: Iterable[Dataset], key: Callable[[Dataset], Hashable]
) -> Sequence[Dataset]:
    """Return the first header of each key, in order: a rule that needs no more reads few."""
    first: dict[Hashable, Dataset] = {}
    for ds in headers:
        first.setdefault(key(ds), ds)
    return list(first.values())


def read_each(
    headers: Iterable[Dataset], keywords: Sequence[str], read: Callable[[Dataset], Value]
) -> list[Value]:
    """Return ``read`` of each header, which depends on these attributes only.

    Most images of a series share their values; ``read`` is called once for each of them.
    """
    known: dict[Hashable, Value] = {}
    found = []
    for ds in headers:
        key = encoded_values(ds, keywords)
        if key not in known:
            known[key] = read(ds)
        found.append(known[key])
    return found


def encoded_values(ds: Dataset, keywords: Sequence[str]) -> tuple[Hashable, ...]:
    """Return a key of the values of these attributes: equal keys have equal values.

    The reverse does not hold: the key of a value that was decoded is the element itself.
    """
    elements = (ds.get_item(_tag_of(keyword)) for keyword in keywords)
    return tuple(map(_key_of, elements))


def _key_of(element: DataElement | RawDataElement | None) -> Hashable:
    if isinstance(element, RawDataElement) and isinstance(element.value, bytes):
        return element.VR, element.value, element.is_little_endian
    return None if element is None else id(element)


def text_of(ds: Dataset, keyword: str) -> str:
    """Return the value as stripped text, ``""`` where there is none."""
    value = value_of(ds, keyword)
    return "" if value is None else str(value).strip()


def date_of(ds: Dataset, keyword: str) -> date | None:
    """Return the date, None where it is absent or cannot be read."""
    return parse_date(stated_text(ds, keyword))


def items_of(ds: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence, an empty list where it is absent or malformed."""
    value = value_of(ds, keyword)
    return list(value) if isinstance(value, Items) else []


def uid_of(ds: Dataset, keyword: str) -> str:
    """Return the UID, ``""`` where it is absent or invalid."""
    text = text_of(ds, keyword)
    return text if is_valid_uid(text) else ""


def numbers_of(ds: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return exactly ``count`` finite numbers, otherwise None."""
    value = value_of(ds, keyword)
    items = [value] if isinstance(value, (int, float, str)) else value
    try:
        numbers = tuple(float(item) for item in items)  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError):  # an IS of 400 digits
        return None
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        return None
    return numbers


def number_of(ds: Dataset, keyword: str) -> float | None:
    """Return one finite number, otherwise None."""
    numbers = numbers_of(ds, keyword, 1)
    return None if numbers is None else numbers[0]


def position_of(ds: Dataset) -> Array | None:
    """Return the (3,) center of the first pixel, patient LPS mm (ImagePositionPatient)."""
    numbers = numbers_of(ds, "ImagePositionPatient", 3)
    return None if numbers is None else np.array(numbers)


def directions_of(ds: Dataset) -> Array | None:
    """Return the (2, 3) unit directions of growing column index, then of growing row index.

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
    """Return (row spacing, column spacing) in mm (PS3.3 10.7.1.3).

    None unless both are plausible, 0.05–10 mm.
    """
    numbers = numbers_of(ds, "PixelSpacing", 2)
    if numbers is None or not all(0.05 <= number <= 10 for number in numbers):
        return None
    return numbers[0], numbers[1]


def frame_of(ds: Dataset) -> int | None:
    """Return the frame number of a slice, counted from 1; None for a single-frame image.

    ``frames.frame_headers`` stores it as ReferencedFrameNumber (PS3.3 Table 10-3).
    """
    number = number_of(ds, "ReferencedFrameNumber")
    return None if number is None else int(number)


def normal_of(directions: Array) -> Array:
    """Return the (3,) slice normal."""
    return np.asarray(np.cross(directions[0], directions[1]))


def orientation_of(directions: Array) -> Orientation:
    """Return the nearest patient plane."""
    return NORMAL_AXIS[int(np.argmax(np.abs(normal_of(directions))))]


def obliquity_deg(directions: Array) -> float:
    """Return the largest angle of row, column and normal to their nearest patient axes."""
    axes = np.vstack([directions, normal_of(directions)])
    cosines = np.abs(axes).max(axis=1)
    return float(np.degrees(np.arccos(np.clip(cosines, -1, 1)).max()))


def distances_along(headers: Sequence[Dataset], normal: Array) -> Array | None:
    """Return the (n,) positions of the slices along the normal, mm.

    None where one of them has no position.
    """
    positions = [position for ds in headers if (position := position_of(ds)) is not None]
    return np.array(positions) @ normal if len(positions) == len(headers) else None


def source_header(headers: Sequence[Dataset]) -> Dataset:
    """Return the header from which patient and study attributes are taken.

    It is that of the smallest SOP Instance UID among the images with a PatientID, or among all
    where none has one. ``storescp.registration.headers`` reads the facts of the record from the
    same instance, so that record and report name the same patient, whatever the order of the
    slices.
    """
    named = [ds for ds in headers if text_of(ds, "PatientID")]
    return min(named or headers, key=lambda ds: text_of(ds, "SOPInstanceUID"))
