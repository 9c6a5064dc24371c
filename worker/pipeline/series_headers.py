"""Headers of the files of one series, in no order, with the rules that need none."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from common.dicom.errors import NotPart10, Undecodable
from common.dicom.uids import is_valid_uid
from worker.pipeline import header_values
from worker.pipeline.decoding.error import DecodeError
from worker.pipeline.decoding.header import FileHeader, read_header, read_text
from worker.pipeline.frames import frame_headers, is_multi_frame
from worker.pipeline.limits import (
    MAX_SERIES_ELEMENTS,
    MAX_SERIES_HEADER_BYTES,
    MAX_SLICES,
)
from worker.pipeline.reasons import Check, Reason, ReasonCode
from worker.pipeline.results import Rejected
from worker.pipeline.validation import images
from worker.pipeline.validation.copies import different_copies
from worker.pipeline.validation.eligibility import COPIES, FILES
from worker.pipeline.validation.rules import first_failure, to_check
from worker.pipeline.volume import PixelData


@dataclass(frozen=True, slots=True)
class SeriesHeaders:
    """The images of one series as they were read; ``headers[i]`` describes ``pixels[i]``.

    ``checks`` : the rules that were applied to them, up to the first that failed.
    """

    series_instance_uid: str
    pixels: tuple[PixelData, ...]
    headers: tuple[Dataset, ...]
    checks: tuple[Check, ...]


def read_headers(paths: Iterable[Path], *, sample: bool = False) -> SeriesHeaders | Rejected:
    """Read the headers of one series; return ``Rejected`` where a file cannot be read.

    A second copy of a SOP instance is left out. ``sample`` : ``paths`` are some of its files.
    """
    read: defaultdict[str, list[list[tuple[PixelData, Dataset]]]] = defaultdict(list)
    unreadable = 0
    size = _Size()
    for path in paths:
        try:
            header = read_header(path)
            size = size.add(header)
            slices = _slices_of(path, header)
        except DecodeError as error:
            return _undecodable(series_uid_of(path), str(error))
        except Exception:  # the parser raises any exception for damaged bytes
            unreadable += 1
            continue
        uid = header_values.uid_of(slices[0][1], "SOPInstanceUID")
        read[uid or str(path)].append(slices)
    if not read:
        return _undecodable("", "The series has no readable images.")
    firsts = (slices[0] for slices in read.values())
    sources, headers = zip(*(one for slices in firsts for one in slices), strict=True)
    uid = header_values.text_of(headers[0], "SeriesInstanceUID")
    if unreadable:
        files = "1 file of the series is" if unreadable == 1 else f"{unreadable} files are"
        return _undecodable(uid, f"{files} not readable DICOM ({len(read)} objects are).")
    checks = (
        to_check(FILES, f"Readable objects: {len(read)}."),
        *images.check_images(headers, sample=sample),
    )
    if first_failure(checks) is None:
        checks = (*checks, to_check(COPIES, different_copies(read)))
    return SeriesHeaders(uid, sources, headers, checks)


@dataclass(frozen=True, slots=True)
class _Size:
    """Size of the headers that were read of one series."""

    frames: int = 0
    elements: int = 0
    header_bytes: int = 0

    def add(self, header: FileHeader) -> "_Size":
        """Return the size with one more header. Raises DecodeError over a limit."""
        walk = header.walk
        size = _Size(
            self.frames + max(1, walk.frames),
            self.elements + walk.elements,
            self.header_bytes + header.kept_bytes,
        )
        for found, most, what in (
            (size.frames, MAX_SLICES, "slices"),
            (size.elements, MAX_SERIES_ELEMENTS, "elements in its headers"),
            (size.header_bytes, MAX_SERIES_HEADER_BYTES, "bytes of headers"),
        ):
            if found > most:
                raise DecodeError(f"The series has {found} {what} or more, {most} are read.")
        return size


def _slices_of(path: Path, header: FileHeader) -> list[tuple[PixelData, Dataset]]:
    """Return the slices of one file without pixels."""
    ds = header.dataset
    headers = frame_headers(ds) if is_multi_frame(ds) else [ds]
    return [
        (PixelData(path, header.transfer_syntax_uid, header.pixel_offset, frame), each)
        for frame, each in enumerate(headers or [ds])
    ]


def series_uid_of(path: Path) -> str:
    """Return the SeriesInstanceUID of a file, ``""`` where it has none or is not DICOM."""
    return _uid_of(path, "SeriesInstanceUID")


def study_uid_of(path: Path) -> str:
    """Return the StudyInstanceUID of a file, ``""`` where it has none that is a UID."""
    return _uid_of(path, "StudyInstanceUID")


def _uid_of(path: Path, keyword: str) -> str:
    try:
        uid = read_text(path, keyword)
    except (OSError, NotPart10, Undecodable):
        return ""
    return uid if is_valid_uid(uid) else ""


def _undecodable(uid: str, text: str) -> Rejected:
    reason = Reason(ReasonCode.UNDECODABLE, text)
    return Rejected(uid, reason, checks=(to_check(FILES, reason),))
