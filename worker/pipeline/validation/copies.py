"""Comparison of files that have one SOP Instance UID (PS3.3 C.12.1: it names one instance).

Archives send an image again with another transfer syntax, other group 0002 or other private
elements: such copies count once. Files are compared only with others of the same UID.
"""

import filecmp
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from pydicom import Dataset

from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.header_values import number_of, numbers_of, text_of
from worker.pipeline.pixels import Image, describe_slice
from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.volume import PixelData

Slices = Sequence[tuple[PixelData, Dataset]]

TEXTS = (
    "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "RescaleType",
)  # fmt: skip
# The same patient may be described with more or fewer elements.
IDENTITY = ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
NUMBERS = {
    "ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2, "Rows": 1,
    "Columns": 1, "AcquisitionNumber": 1, "SliceThickness": 1,
}  # fmt: skip


def different_copies(files: Mapping[str, Sequence[Slices]]) -> RuleResult:
    """Require that the files of one SOP Instance UID are copies of one image.

    ``files`` : SOP Instance UID → slices of each file that has it.
    """
    copies = {uid: same for uid, same in files.items() if len(same) > 1}
    different = {
        uid: len(same)
        for uid, same in copies.items()
        if not all(_equal(same[0], other) for other in same[1:])
    }
    if different:
        uid, count = next(iter(different.items()))
        more = f" ({len(different) - 1} other UIDs likewise)" if len(different) > 1 else ""
        text = (
            f"{count} images that differ have the SOP Instance UID {uid}{more}: each image "
            "needs its own."
        )
        return Reason(ReasonCode.MIXED, text)
    count = sum(len(same) - 1 for same in copies.values())
    return f"{len(files)} SOP Instance UIDs, {count} equal copies left out."


def _equal(one: Slices, other: Slices) -> bool:
    """Return whether two files hold the same image."""
    if filecmp.cmp(one[0][0].path, other[0][0].path, shallow=False):
        return True
    headers = zip((ds for _, ds in one), (ds for _, ds in other), strict=False)
    if len(one) != len(other) or not all(_equal_headers(*pair) for pair in headers):
        return False
    try:
        return _equal_pixels(one, other)
    except DecodeError:
        return False


def _equal_headers(one: Dataset, other: Dataset) -> bool:
    if any(text_of(one, name) != text_of(other, name) for name in TEXTS):
        return False
    for name in IDENTITY:
        if len({text_of(one, name), text_of(other, name)} - {""}) > 1:
            return False
    for name, count in NUMBERS.items():
        first, second = numbers_of(one, name, count), numbers_of(other, name, count)
        if (first is None) != (second is None):
            return False
        if first is not None and not np.allclose(first, second or 0, rtol=0, atol=1e-3):
            return False
    return number_of(one, "NumberOfFrames") == number_of(other, "NumberOfFrames")


def _equal_pixels(one: Slices, other: Slices) -> bool:
    """Compare HU: a copy may have other stored values with another rescale."""
    return all(map(np.array_equal, _images(one), _images(other)))


def _images(file: Slices) -> Iterator[Image]:
    """Decode the slices of one file one by one, as HU. Raises DecodeError."""
    slices = [describe_slice(*each) for each in file]
    encoded = slices[0].locate()
    return (each.decode_hu(encoded) for each in slices)
