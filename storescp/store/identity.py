"""Read the identity of an encoded data set and check that it is complete and within limits."""

from dataclasses import dataclass

from common.dicom.elements import SOP_CLASS_UID
from common.dicom.encoding import decode_text, syntax_of
from common.dicom.sources import ReadAt, open_source
from common.dicom.walk import find_in_front, walk_image

SOP_INSTANCE_UID = 0x00080018
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
IDENTITY = (SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)


@dataclass(frozen=True, slots=True)
class Identity:
    """The UIDs in a data set; empty where absent."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""


def read_identity(
    front: bytes, transfer_syntax_uid: str, *, size: int, read_at: ReadAt, max_bytes: int
) -> Identity:
    """Walk all elements of a data set of ``size`` bytes and return the UIDs.

    ``front`` : its first bytes; where they contain the headers of all elements, as before
    uncompressed pixel data, ``read_at`` is not called. ``max_bytes`` : limit of a deflated
    data set after inflation. Raises Undecodable.
    """
    source = open_source(transfer_syntax_uid, front, size, read_at, max_bytes=max_bytes)
    return _identity(walk_image(source, syntax_of(transfer_syntax_uid), IDENTITY))


def read_front_identity(front: bytes, transfer_syntax_uid: str) -> Identity:
    """Return the UIDs that the first bytes of a data set hold, complete or not."""
    return _identity(find_in_front(front, transfer_syntax_uid, IDENTITY))


def _identity(found: dict[int, bytes]) -> Identity:
    return Identity(*(decode_text(found.get(tag, b"")) for tag in IDENTITY))
