"""Decode the File Meta Information (PS3.10 7.1)."""

import struct
from dataclasses import dataclass

from common.dicom.encoding import ALL_VRS, SHORT_VRS, decode_text
from common.dicom.errors import NotPart10

PREFIX = b"DICM"
PREFIX_END = 132
META_GROUP = 0x0002
MAX_META_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class FileMeta:
    """Values of the File Meta Information, and the offset of the data set in bytes.

    ``source_address`` : host of the Source Presentation Address, "" where absent.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    data_set_offset: int
    source_address: str = ""


def decode_meta(head: bytes | bytearray, *, end: int | None = None) -> FileMeta | None:
    """Decode the File Meta Information at the start of a DICOM file.

    Group 0002 is Explicit VR Little Endian whatever the transfer syntax of the data set. Some
    writers encode a wrong group length, so it ends at ``end``, or at the first element that is
    not of group 0002, not explicit, or not in ascending order, as where a data set begins with
    elements of this group too. Returns None where ``head`` ends within it. Raises NotPart10.
    """
    if len(head) < PREFIX_END:
        return None
    if not head.startswith(PREFIX, 128):
        raise NotPart10("not a DICOM file")
    position, last, values = PREFIX_END, -1, dict[int, bytes | bytearray]()
    try:
        while position != end and struct.unpack_from("<H", head, position)[0] == META_GROUP:
            _, element, vr, length = struct.unpack_from("<HH2sH", head, position)
            if vr not in ALL_VRS or element <= last:
                break
            start, last = position + 8, element
            if vr not in SHORT_VRS:
                (length,) = struct.unpack_from("<L", head, start)
                start += 4
            position = start + length
            if position > MAX_META_BYTES:
                raise NotPart10("file meta information without end")
            values[element] = head[start:position]
    except struct.error:
        return None
    if position > len(head):
        return None
    return FileMeta(
        sop_class_uid=decode_text(values.get(0x0002, b"")),
        sop_instance_uid=decode_text(values.get(0x0003, b"")),
        transfer_syntax_uid=decode_text(values.get(0x0010, b"")),
        calling_ae_title=decode_text(values.get(0x0016, b"")),
        data_set_offset=position,
        source_address=_host(decode_text(values.get(0x0026, b""))),
    )


def _host(uri: str) -> str:
    """Return the host of a Presentation Address (PS3.10 7.1.1.1), without its scheme."""
    return uri.partition("://")[2].strip("[]")
