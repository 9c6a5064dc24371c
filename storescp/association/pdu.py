"""P-DATA-TF PDUs (PS3.8 9.3.5 and Annex E)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

A_ASSOCIATE_RQ = 0x01
A_ASSOCIATE_RJ = 0x03
P_DATA_TF = 0x04
PDU_HEADER = struct.Struct(">BxL")  # type, reserved, length
PDV_HEADER = struct.Struct(">LBB")  # length, presentation context ID, message control header
PDV_LENGTH_BYTES = 4

IS_COMMAND = 0b01
IS_LAST = 0b10
MIN_FRAGMENT = 2  # PS3.8 E.1: fragments have an even length


class BadPdu(ValueError):
    """The peer violates PS3.8; the association must be aborted."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """The header of a presentation data value. ``length`` : bytes of the fragment."""

    context_id: int
    is_command: bool
    is_last: bool
    length: int


def read_fragment(header: bytes | bytearray | memoryview, pdu_left: int) -> Fragment:
    """Decode the header of a PDV; raises BadPdu.

    ``pdu_left`` : bytes of the PDU from this header on.
    """
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
    """Yield the P-DATA-TF PDUs of a command set.

    ``max_pdu_length`` : limit of the peer, 0 for none.
    """
    fragment_bytes = len(command)
    if max_pdu_length:
        limit = (max_pdu_length - PDV_HEADER.size) & ~1
        fragment_bytes = max(MIN_FRAGMENT, min(fragment_bytes, limit))
    for start in range(0, len(command), fragment_bytes):
        part = command[start : start + fragment_bytes]
        control = IS_COMMAND | (IS_LAST if start + fragment_bytes >= len(command) else 0)
        length = len(part) + PDV_HEADER.size - PDV_LENGTH_BYTES
        yield (
            PDU_HEADER.pack(P_DATA_TF, length + PDV_LENGTH_BYTES)
            + PDV_HEADER.pack(length, context_id, control)
            + part
        )


def encode_rejection(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ PDU (PS3.8 Table 9-21)."""
    return PDU_HEADER.pack(A_ASSOCIATE_RJ, 4) + bytes((0, result, source, reason))
