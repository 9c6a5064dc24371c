"""A-ASSOCIATE-RQ PDUs (PS3.8 9.3.2 and Annex D): accept what other receivers accept.

pynetdicom aborts associations for values that do not change what is negotiated, such as an
AE title padded with NUL. ``normalize_request`` returns a request of the same meaning that
pynetdicom decodes. It pads and trims values, and omits items that this service does not use.
"""

import re
import struct
from collections.abc import Iterator

from common.dicom.uids import is_valid_uid
from common.dicomnet.association import REJECTED_PERMANENT
from storescp.association.admission import (
    SERVICE_PROVIDER_ACSE,
    SERVICE_USER,
    Rejection,
)
from storescp.association.pdu import A_ASSOCIATE_RQ, PDU_HEADER

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"
NO_UID = "2.25.0"
"""In place of a UID that is missing or malformed: it is valid, and never supported."""
NO_AE_TITLE = "UNKNOWN"
"""In place of an AE title that is blank, which PS3.5 6.2 does not allow."""
MAX_VERSION_LENGTH = 16  # PS3.7 D.3.3.2.3
DEFAULT_MAX_LENGTH = 16_384
"""Maximum Length of a peer that does not send one, bytes: every receiver takes this much."""
SMALLEST_MAX_LENGTH = 8  # a PDV header of 6 bytes and a fragment of 2 bytes (PS3.8 E.1)

# PDU body before the variable items (PS3.8 Table 9-11): version, reserved, called, calling.
_FIXED = struct.Struct(">HH16s16s32x")
_ITEM = struct.Struct(">BxH")  # item type, reserved, length
_CONTEXT = struct.Struct(">B3x")  # presentation context ID, reserved (Table 9-13)
_LENGTH = struct.Struct(">L")

APPLICATION_CONTEXT, PRESENTATION_CONTEXT, USER_INFORMATION = 0x10, 0x20, 0x50
ABSTRACT_SYNTAX, TRANSFER_SYNTAX = 0x30, 0x40
MAXIMUM_LENGTH, CLASS_UID, ROLE_SELECTION, VERSION_NAME = 0x51, 0x52, 0x54, 0x55

MALFORMED = Rejection(REJECTED_PERMANENT, SERVICE_PROVIDER_ACSE, 1, "malformed_request")
PROTOCOL_VERSION = Rejection(
    REJECTED_PERMANENT, SERVICE_PROVIDER_ACSE, 2, "protocol_version_not_supported"
)
OTHER_APPLICATION_CONTEXT = Rejection(
    REJECTED_PERMANENT, SERVICE_USER, 2, "application_context_not_supported"
)


class RequestRejected(Exception):
    """The request cannot be accepted in any form. ``calling_ae_title`` : "" where unknown."""

    def __init__(self, rejection: Rejection, calling_ae_title: str = "") -> None:
        super().__init__(rejection.name)
        self.rejection = rejection
        self.calling_ae_title = calling_ae_title


def normalize_request(pdu: bytes) -> bytes:
    """Return an equivalent A-ASSOCIATE-RQ that pynetdicom decodes; raises RequestRejected.

    ``pdu`` : the whole PDU with its header.
    """
    if len(pdu) < PDU_HEADER.size + _FIXED.size:
        raise RequestRejected(MALFORMED)
    version, _, called, calling = _FIXED.unpack_from(pdu, PDU_HEADER.size)
    calling_ae_title = ae_title(calling)
    try:
        if not version & 1:  # PS3.8 9.3.2: only this bit is tested
            raise RequestRejected(PROTOCOL_VERSION)
        items = b"".join(_variable_items(pdu[PDU_HEADER.size + _FIXED.size :]))
    except RequestRejected as error:
        raise RequestRejected(error.rejection, calling_ae_title) from None
    fixed = _FIXED.pack(
        1, 0, ae_title(called).encode().ljust(16), calling_ae_title.encode().ljust(16)
    )
    return PDU_HEADER.pack(A_ASSOCIATE_RQ, len(fixed) + len(items)) + fixed + items


def ae_title(value: bytes) -> str:
    """Return an AE title as PS3.5 6.2 has it: trimmed, "?" for characters it does not allow."""
    text = value.decode("ascii", errors="replace").strip(" \0")
    return re.sub(r"[^\x20-\x5b\x5d-\x7e]", "?", text) or NO_AE_TITLE


def _variable_items(data: bytes) -> Iterator[bytes]:
    """Yield application context, presentation contexts and user information."""
    context_ids: set[int] = set()
    user_information = b""
    yield _encode(APPLICATION_CONTEXT, APPLICATION_CONTEXT_NAME)
    for kind, value in _items(data):
        if kind == APPLICATION_CONTEXT and _uid(value) != APPLICATION_CONTEXT_NAME:
            raise RequestRejected(OTHER_APPLICATION_CONTEXT)
        if kind == PRESENTATION_CONTEXT:
            context_id, context = _presentation_context(value)
            if context_id in context_ids or not context_id & 1:
                raise RequestRejected(MALFORMED)
            context_ids.add(context_id)
            yield context
        if kind == USER_INFORMATION:
            user_information = value
    if not context_ids:
        raise RequestRejected(MALFORMED)
    yield _encode(USER_INFORMATION, b"".join(_user_items(user_information)))


def _presentation_context(value: bytes) -> tuple[int, bytes]:
    """Return the ID and the item of a presentation context (PS3.8 9.3.2.2)."""
    if len(value) < _CONTEXT.size:
        raise RequestRejected(MALFORMED)
    (context_id,) = _CONTEXT.unpack_from(value)
    abstract, transfer = NO_UID, []
    for kind, uid in _items(value[_CONTEXT.size :]):
        if kind == ABSTRACT_SYNTAX:
            abstract = _uid(uid)
        if kind == TRANSFER_SYNTAX:
            transfer.append(_uid(uid))
    parts = [_encode(ABSTRACT_SYNTAX, abstract)]
    parts += [_encode(TRANSFER_SYNTAX, uid) for uid in transfer or [NO_UID]]
    return context_id, _encode(
        PRESENTATION_CONTEXT, _CONTEXT.pack(context_id) + b"".join(parts)
    )


def _user_items(data: bytes) -> Iterator[bytes]:
    """Yield the sub-items that this service uses (PS3.8 D.1, PS3.7 D.3.3)."""
    maximum_length = DEFAULT_MAX_LENGTH
    for kind, value in _items(data):
        if kind == MAXIMUM_LENGTH and len(value) == _LENGTH.size:
            (maximum_length,) = _LENGTH.unpack(value)
        elif kind == CLASS_UID and (uid := _uid(value)) != NO_UID:
            yield _encode(CLASS_UID, uid)
        elif kind == VERSION_NAME and (name := _version_name(value)):
            yield _encode(VERSION_NAME, name)
        elif kind == ROLE_SELECTION:
            yield from _role_selection(value)
    if 0 < maximum_length < SMALLEST_MAX_LENGTH:
        maximum_length = SMALLEST_MAX_LENGTH
    yield _encode(MAXIMUM_LENGTH, _LENGTH.pack(maximum_length))


def _role_selection(value: bytes) -> Iterator[bytes]:
    """Yield the item with a trimmed UID (PS3.7 D.3.3.4), or nothing if it is malformed."""
    length = int.from_bytes(value[:2])
    uid, roles = _uid(value[2 : 2 + length]), value[2 + length :]
    if uid != NO_UID and len(roles) == 2 and max(roles) <= 1:
        yield _encode(ROLE_SELECTION, len(uid).to_bytes(2) + uid.encode() + roles)


def _version_name(value: bytes) -> str:
    text = value.decode("ascii", errors="replace").strip(" \0")
    return re.sub(r"[^\x20-\x7e]", "?", text)[:MAX_VERSION_LENGTH].strip()


def _uid(value: bytes) -> str:
    text = value.decode("ascii", errors="replace").strip(" \0")
    return text if is_valid_uid(text) else NO_UID


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of items or sub-items; raises RequestRejected at a wrong length."""
    offset = 0
    while offset < len(data):
        if len(data) - offset < _ITEM.size:
            raise RequestRejected(MALFORMED)
        kind, length = _ITEM.unpack_from(data, offset)
        offset += _ITEM.size
        if length > len(data) - offset:
            raise RequestRejected(MALFORMED)
        yield kind, data[offset : offset + length]
        offset += length


def _encode(kind: int, value: bytes | str) -> bytes:
    encoded = value.encode() if isinstance(value, str) else value
    return _ITEM.pack(kind, len(encoded)) + encoded
