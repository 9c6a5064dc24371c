"""A-ASSOCIATE-RQ PDUs that the test encodes itself, and the answers to them."""

import socket
import struct
from dataclasses import dataclass

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.sop_class import Verification

VERIFICATION_CONTEXT = 3


def item(kind: int, value: bytes) -> bytes:
    """Encode an item or sub-item (PS3.8 9.3.2)."""
    return struct.pack(">BxH", kind, len(value)) + value


def context(number: int, abstract: bytes | None, *transfer: bytes) -> bytes:
    """Encode a presentation context item."""
    abstract_syntax = b"" if abstract is None else item(0x30, abstract)
    syntaxes = b"".join(item(0x40, one) for one in transfer)
    return item(0x20, struct.pack(">B3x", number) + abstract_syntax + syntaxes)


def user_information(
    *,
    max_length: bytes | None = struct.pack(">L", 16384),
    class_uid: bytes | None = b"1.2.3.4",
    version: bytes | None = b"VENDOR",
    extra: bytes = b"",
) -> bytes:
    """Encode a user information item; None omits a sub-item."""
    parts = [
        item(kind, value)
        for kind, value in ((0x51, max_length), (0x52, class_uid), (0x55, version))
        if value is not None
    ]
    return item(0x50, b"".join(parts) + extra)


CT = context(1, CTImageStorage.encode(), ExplicitVRLittleEndian.encode())
ECHO = context(VERIFICATION_CONTEXT, Verification.encode(), b"1.2.840.10008.1.2")


def request(
    *contexts: bytes,
    called: bytes = b"OSTEOSCREEN",
    calling: bytes = b"MODALITY",
    application: bytes = b"1.2.840.10008.3.1.1.1",
    user: bytes | None = None,
    version: int = 1,
    pad: bytes = b" ",
) -> bytes:
    """Encode an A-ASSOCIATE-RQ, by default for CT and Verification."""
    body = struct.pack(">H2x", version) + called.ljust(16, pad) + calling.ljust(16, pad)
    body += bytes(32) + item(0x10, application) + b"".join(contexts or (CT, ECHO))
    body += user_information() if user is None else user
    return struct.pack(">BxL", 1, len(body)) + body


@dataclass(frozen=True, slots=True)
class Answer:
    """The PDU that answers a request. ``kind`` : 2 AC, 3 RJ, 7 A-ABORT, 0 connection closed."""

    kind: int
    body: bytes

    @property
    def rejection(self) -> tuple[int, ...]:
        """Result, source and reason of an A-ASSOCIATE-RJ."""
        return tuple(self.body[1:4])

    @property
    def results(self) -> dict[int, int]:
        """Result of each presentation context of an A-ASSOCIATE-AC, by ID."""
        results, offset = {}, 68
        while offset < len(self.body):
            kind, length = struct.unpack_from(">BxH", self.body, offset)
            if kind == 0x21:
                results[self.body[offset + 4]] = self.body[offset + 6]
            offset += 4 + length
        return results


def read_answer(connection: socket.socket) -> Answer:
    """Read one PDU."""
    header = _read(connection, 6)
    if len(header) < 6:
        return Answer(0, header)
    kind, length = struct.unpack(">BxL", header)
    return Answer(kind, _read(connection, length))


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (part := connection.recv(count - len(data))):
        data += part
    return data
