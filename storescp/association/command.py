"""Decode and encode command sets of C-STORE without pydicom (PS3.7 6.3.1, 9.3.1).

A command set is always Implicit VR Little Endian. A pydicom Dataset for each request and each
response would cost more than all other work for an instance.
"""

import struct
from dataclasses import dataclass

from common.dicom.encoding import decode_text

COMMAND_GROUP_LENGTH = 0x0000
AFFECTED_SOP_CLASS_UID = 0x0002
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
COMMAND_DATA_SET_TYPE = 0x0800
STATUS = 0x0900
ERROR_COMMENT = 0x0902
AFFECTED_SOP_INSTANCE_UID = 0x1000

C_STORE_RQ = 0x0001
C_STORE_RSP = 0x8001
NO_DATA_SET = 0x0101

_HEADER = struct.Struct("<HHL")
_SHORT = struct.Struct("<H")


class BadCommand(ValueError):
    """The bytes are not a command set, or one that cannot be answered."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command set with the elements of a C-STORE-RQ; an absent UID is empty."""

    field: int
    message_id: int
    has_data_set: bool
    sop_class_uid: str
    sop_instance_uid: str


def decode_command(encoded: bytes | bytearray) -> Command:
    """Decode a command set; raises BadCommand."""
    values = {}
    position = 0
    try:
        while position < len(encoded):
            group, element, length = _HEADER.unpack_from(encoded, position)
            position += _HEADER.size
            if group != 0 or position + length > len(encoded):
                raise BadCommand("not a command set")
            values[element] = bytes(encoded[position : position + length])
            position += length
        (field,) = _SHORT.unpack(values[COMMAND_FIELD])
        if field != C_STORE_RQ:  # responses and C-CANCEL have no Message ID
            values.setdefault(MESSAGE_ID, b"\0\0")
        return Command(
            field=field,
            message_id=_SHORT.unpack(values[MESSAGE_ID])[0],
            has_data_set=_SHORT.unpack(values[COMMAND_DATA_SET_TYPE])[0] != NO_DATA_SET,
            sop_class_uid=decode_text(values.get(AFFECTED_SOP_CLASS_UID, b"")),
            sop_instance_uid=decode_text(values.get(AFFECTED_SOP_INSTANCE_UID, b"")),
        )
    except (struct.error, KeyError):
        raise BadCommand("not a command set") from None


def encode_response(request: Command, status: int, comment: str = "") -> bytes:
    """Encode a C-STORE-RSP (PS3.7 Table 9.3-2); ``comment`` is the Error Comment."""
    elements = b"".join(
        (
            _uid(AFFECTED_SOP_CLASS_UID, request.sop_class_uid),
            _number(COMMAND_FIELD, C_STORE_RSP),
            _number(MESSAGE_ID_BEING_RESPONDED_TO, request.message_id),
            _number(COMMAND_DATA_SET_TYPE, NO_DATA_SET),
            _number(STATUS, status),
            _element(ERROR_COMMENT, comment.encode("ascii", "replace"), b" "),
            _uid(AFFECTED_SOP_INSTANCE_UID, request.sop_instance_uid),
        )
    )
    return (
        _HEADER.pack(0, COMMAND_GROUP_LENGTH, 4) + struct.pack("<L", len(elements)) + elements
    )


def _number(element: int, value: int) -> bytes:
    return _HEADER.pack(0, element, 2) + _SHORT.pack(value)


def _uid(element: int, uid: str) -> bytes:
    return _element(element, uid.encode("ascii", "replace"), b"\0")


def _element(element: int, value: bytes, padding: bytes) -> bytes:
    """Encode an element, padded to an even length; empty when it has no value."""
    if not value:
        return b""
    value += padding * (len(value) % 2)
    return _HEADER.pack(0, element, len(value)) + value
