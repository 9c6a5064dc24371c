"""Encode and read the File Meta Information of files in the spool (PS3.10 7.1)."""

import struct
from contextlib import AbstractContextManager
from pathlib import Path

from common.dicom.errors import NotPart10
from common.dicom.file_header import EncodedFile, open_file
from common.dicom.file_meta import MAX_META_BYTES, META_GROUP, PREFIX, FileMeta, decode_meta
from common.dicom.sources import WINDOW_BYTES

IMPLEMENTATION_CLASS_UID = "2.25.184154897819623480476398981052215016039"
IMPLEMENTATION_VERSION_NAME = "OSTEOSCREEN_0_1"

PREAMBLE = b"\0" * 128 + PREFIX
GROUP_LENGTH_END = len(PREAMBLE) + 12
HEADER_BYTES = 1024
"""Holds the File Meta Information of nearly every file in the spool."""
COPY_BYTES = 1024 * 1024


def encode_header(
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    calling_ae_title: str,
    source_address: str = "",
) -> bytes:
    """Return preamble, prefix and File Meta Information to precede an encoded data set.

    ``source_address`` : network address of the sender, "" where unknown.
    """
    elements = b"".join(
        (
            struct.pack("<HH2sHL", META_GROUP, 0x0001, b"OB", 0, 2) + b"\0\1",
            _element(0x0002, b"UI", sop_class_uid),
            _element(0x0003, b"UI", sop_instance_uid),
            _element(0x0010, b"UI", transfer_syntax_uid),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            _element(0x0016, b"AE", calling_ae_title),
            _presentation_address(source_address),
        )
    )
    return (
        PREAMBLE
        + struct.pack("<HH2sHL", META_GROUP, 0x0000, b"UL", 4, len(elements))
        + elements
    )


def read_header(path: Path) -> FileMeta:
    """Read the File Meta Information of a file in the spool; raises NotPart10."""
    with open_stored(path, front_bytes=HEADER_BYTES) as file:
        return file.meta


def open_stored(
    path: Path, *, front_bytes: int = WINDOW_BYTES
) -> AbstractContextManager[EncodedFile]:
    """Open a file in the spool, as ``open_file`` opens any DICOM file.

    The File Meta Information ends where its group length says, also where the data set begins
    with elements of group 0002.
    """
    return open_file(path, front_bytes=front_bytes, decode=_decode)


def _decode(head: bytes) -> FileMeta | None:
    if len(head) < GROUP_LENGTH_END:
        return None
    (length,) = struct.unpack_from("<L", head, GROUP_LENGTH_END - 4)
    end = GROUP_LENGTH_END + length
    if length > MAX_META_BYTES:
        raise NotPart10("file meta information without end")
    return decode_meta(head[:end], end=end)


def holds_same(path: Path, encoded: bytes | memoryview, transfer_syntax_uid: str) -> bool:
    """Return whether the file at ``path`` exists and has exactly this data set."""
    try:
        meta = read_header(path)
        with path.open("rb") as file:
            file.seek(meta.data_set_offset)
            if meta.transfer_syntax_uid != transfer_syntax_uid:
                return False
            view = memoryview(encoded)
            for start in range(0, len(view), COPY_BYTES):
                part = view[start : start + COPY_BYTES]
                if file.read(len(part)) != part:
                    return False
            return not file.read(1)
    except (FileNotFoundError, NotPart10):
        return False


def _presentation_address(address: str) -> bytes:
    """Encode Source Presentation Address (PS3.10 7.1.1.1); empty without an address."""
    if not address:
        return b""
    host = f"[{address}]" if ":" in address else address
    value = f"dicom://{host}".encode("ascii", "replace")
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sHL", META_GROUP, 0x0026, b"UR", 0, len(value)) + value


def _element(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii", "replace")
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    return struct.pack("<HH2sH", META_GROUP, element, vr, len(value)) + value
