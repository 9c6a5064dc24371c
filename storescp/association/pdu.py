"""P-DATA-TF PDUs, item by item (PS3.8 9.3.5 and Annex E)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

A_ASSOCIATE_RQ = 0x01
P_DATA_TF = 0x04
PDU_HEADER = struct.Struct(">BxL")  # type, reserved, length
PDV_HEADER = struct.Struct(">LBB")  # length, presentation context ID, message control header
PDV_LENGTH_BYTES = 4

IS_COMMAND = 0b01
IS_LAST = 0b10
MIN_FRAGMENT = 2  # PS3.8 E.1: fragments have an even length


class BadPdu(ValueError):
    """The peer breaks the rules of PS3.8; the association must be aborted."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """The header of a presentation data value: whose part of what follows in ``length``."""

    context_id: int
    is_command: bool
    is_last: bool
    length: int


def read_fragment(header: bytes | bytearray | memoryview, pdu_left: int) -> Fragment:
    """Read the header of a PDV within a PDU of which so many bytes are left; raises BadPdu."""
    length, context_id, control = PDV_HEADER.unpack(header)
    if length < PDV_HEADER.size - PDV_LENGTH_BYTES or length + PDV_LENGTH_BYTES > pdu_left:
        raise BadPdu(f"item of {length} bytes in {pdu_left} bytes of a P-DATA-TF PDU")
    return Fragment(
        context_id=context_id,
        is_command=bool(control & IS_COMMAND),
        is_last=bool(control & IS_LAST),
        length=length + PDV_LENGTH_BYTES - PDV_HEADER.size,
    )


def encode_command(command: bytes, context_id: int, *, max_pdu_length: int) -> Iterator[bytes]:
    """P-DATA-TF PDUs of a command set; ``max_pdu_length`` : the peer's, 0 is no limit."""
    room = len(command)
    if max_pdu_length:
        room = max(MIN_FRAGMENT, min(room, (max_pdu_length - PDV_HEADER.size) & ~1))
    for start in range(0, len(command), room):
        part = command[start : start + room]
        control = IS_COMMAND | (IS_LAST if start + room >= len(command) else 0)
        length = len(part) + PDV_HEADER.size - PDV_LENGTH_BYTES
        yield (
            PDU_HEADER.pack(P_DATA_TF, length + PDV_LENGTH_BYTES)
            + PDV_HEADER.pack(length, context_id, control)
            + part
        )
