"""Unknown items in an A-ASSOCIATE-AC, which a requestor ignores (PS3.8 9.3.1).

pynetdicom 3.0.4 aborts the association because of them.
"""

import struct
from collections.abc import Iterable, Iterator

from pynetdicom.dul import DULServiceProvider

ASSOCIATE_AC = 0x02
ITEMS_AT = 74  # PS3.8 Table 9-17
USER_INFORMATION = 0x50
# PS3.8 Table 9-17 and Annex D, PS3.7 Annex D.
ITEMS = frozenset({0x10, 0x21, USER_INFORMATION})
USER_ITEMS = frozenset(range(0x51, 0x5A))


def skip_unknown_items(dul: DULServiceProvider) -> None:
    """Remove the unknown items of a received A-ASSOCIATE-AC before it is decoded."""
    decode = dul._decode_pdu

    def decode_known(pdu: bytearray) -> object:
        return decode(bytearray(without_unknown_items(bytes(pdu))))

    dul._decode_pdu = decode_known


def without_unknown_items(pdu: bytes) -> bytes:
    """Return an A-ASSOCIATE-AC without unknown items; any other PDU unchanged."""
    if pdu[:1] != bytes((ASSOCIATE_AC,)) or len(pdu) < ITEMS_AT:
        return pdu
    kept = b""
    for kind, body in _items(pdu[ITEMS_AT:]):
        if kind == USER_INFORMATION:
            body = _join(one for one in _items(body) if one[0] in USER_ITEMS)
        if kind in ITEMS:
            kept += _join([(kind, body)])
    return pdu[:2] + struct.pack(">L", ITEMS_AT - 6 + len(kept)) + pdu[6:ITEMS_AT] + kept


def _items(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    while len(encoded) >= 4:
        kind, length = struct.unpack_from(">BxH", encoded)
        yield kind, encoded[4 : 4 + length]
        encoded = encoded[4 + length :]


def _join(items: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(struct.pack(">BxH", kind, len(body)) + body for kind, body in items)
