"""The header that makes a received data set a DICOM file, and the way back (PS3.10 7.1)."""

import struct
from dataclasses import dataclass
from pathlib import Path

IMPLEMENTATION_CLASS_UID = "2.25.184154897819623480476398981052215016039"
IMPLEMENTATION_VERSION_NAME = "OSTEOSCREEN_0_1"

PREAMBLE = b"\0" * 128 + b"DICM"
GROUP_LENGTH_END = len(PREAMBLE) + 12
MAX_HEADER_BYTES = 64 * 1024
COPY_BYTES = 1024 * 1024


class NotPart10(ValueError):
    """A file without a File Meta Information that this program wrote."""


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What the header says, and where the data set starts."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    data_set_offset: int


def encode_header(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, calling_ae_title: str
) -> bytes:
    """Preamble, prefix and File Meta Information for a data set that follows as it is."""
    elements = b"".join(
        (
            struct.pack("<HH2sHL", 0x0002, 0x0001, b"OB", 0, 2) + b"\0\1",
            _element(0x0002, b"UI", sop_class_uid),
            _element(0x0003, b"UI", sop_instance_uid),
            _element(0x0010, b"UI", transfer_syntax_uid),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            _element(0x0016, b"AE", calling_ae_title),
        )
    )
    return PREAMBLE + struct.pack("<HH2sHL", 0x0002, 0x0000, b"UL", 4, len(elements)) + elements


def read_header(path: Path) -> FileMeta:
    """The File Meta Information of a file in the spool; raises NotPart10."""
    with path.open("rb") as file:
        head = file.read(GROUP_LENGTH_END)
        if len(head) < GROUP_LENGTH_END or not head.startswith(b"DICM", 128):
            raise NotPart10(path.name)
        (length,) = struct.unpack_from("<L", head, GROUP_LENGTH_END - 4)
        if length > MAX_HEADER_BYTES:
            raise NotPart10(path.name)
        try:
            values = _decode(file.read(length))
        except (struct.error, UnicodeDecodeError):
            raise NotPart10(path.name) from None
    return FileMeta(
        sop_class_uid=values.get(0x0002, ""),
        sop_instance_uid=values.get(0x0003, ""),
        transfer_syntax_uid=values.get(0x0010, ""),
        calling_ae_title=values.get(0x0016, ""),
        data_set_offset=GROUP_LENGTH_END + length,
    )


def holds_same(path: Path, encoded: bytes | memoryview, transfer_syntax_uid: str) -> bool:
    """Whether the file at ``path`` has exactly this data set; False when there is none."""
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


def _element(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii", "replace")
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value


def _decode(elements: bytes) -> dict[int, str]:
    """Element number → text of group 0002 as ``encode_header`` writes it."""
    values = {}
    position = 0
    while position + 8 <= len(elements):
        _, element, vr, length = struct.unpack_from("<HH2sH", elements, position)
        position += 8
        if vr == b"OB":
            (length,) = struct.unpack_from("<L", elements, position)
            position += 4
        values[element] = elements[position : position + length].rstrip(b"\0 ").decode("ascii")
        position += length
    return values
