"""The encodings of elements (PS3.5 7)."""

import struct
from typing import Literal, NamedTuple

from pydicom.datadict import dictionary_VR
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

ITEM = 0xFFFEE000
ENCODED_ITEM = struct.pack("<HH", ITEM >> 16, ITEM & 0xFFFF)
RAW_ITEM = int.from_bytes(ENCODED_ITEM, "little")
ITEM_DELIMITATION = 0xFFFEE00D
SEQUENCE_DELIMITATION = 0xFFFEE0DD
UNDEFINED_LENGTH = 0xFFFFFFFF

# The first element of a data set is of group 0008, of the command or meta groups that some
# writers leave in it, or of another group far below 0100.
MAX_FIRST_GROUP = 0x0100

# PS3.5 7.1.2: a 16-bit length; all other VRs have 2 reserved bytes and a 32-bit length.
SHORT_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split(b" ")
)
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split(b" "))
ALL_VRS = SHORT_VRS | LONG_VRS
TEXT_VRS = frozenset(b"AE AS CS DA DT LO PN SH TM".split(b" "))
"""VRs of short texts; IS and DS may hold long lists, LT, ST and UT long texts."""
PUBLIC_TEXT_VRS = TEXT_VRS | {b"UI"}
"""The same in the data dictionary: only private elements list the UIDs of all source images."""


class Syntax:
    """Compiled struct formats of one encoding."""

    __slots__ = ("byte_order", "explicit", "header", "item", "long", "peek")

    def __init__(self, *, explicit: bool, byte_order: str) -> None:
        self.explicit = explicit
        self.byte_order: Literal["little", "big"] = "big" if byte_order == ">" else "little"
        self.header = struct.Struct(byte_order + "HH2sH").unpack_from
        self.item = struct.Struct(byte_order + "HHL").unpack_from
        self.peek = struct.Struct(byte_order + "HHLL").unpack_from  # and 4 bytes of the value
        self.long = struct.Struct(byte_order + "L").unpack_from


IMPLICIT = Syntax(explicit=False, byte_order="<")
EXPLICIT = Syntax(explicit=True, byte_order="<")
BIG_ENDIAN = Syntax(explicit=True, byte_order=">")
IMPLICIT_BIG_ENDIAN = Syntax(explicit=False, byte_order=">")  # of items only


def syntax_of(transfer_syntax_uid: str) -> Syntax:
    """Return the encoding of a transfer syntax (PS3.5 A); deflated ones after inflation."""
    if transfer_syntax_uid == ExplicitVRBigEndian:
        return BIG_ENDIAN
    return IMPLICIT if transfer_syntax_uid == ImplicitVRLittleEndian else EXPLICIT


class Scope(NamedTuple):
    """What contains an element: encoding, depth of sequences, and where it must have ended.

    ``sequence`` : tag of the innermost sequence.
    """

    syntax: Syntax
    depth: int
    size: int
    sequence: int = 0


class Header(NamedTuple):
    """The header of an element. ``vr`` : empty in Implicit VR. ``start`` : of its value."""

    tag: int
    vr: bytes
    start: int
    length: int


def detect_encoding(first: bytes) -> Syntax | None:
    """Return the encoding whose element header the first 8 bytes of a data set are.

    None where they are that of no encoding, as in a deflated data set.
    """
    if len(first) < 8:
        return None
    explicit = first[4:6] in ALL_VRS
    if int.from_bytes(first[:2], "little") < MAX_FIRST_GROUP:
        return EXPLICIT if explicit else IMPLICIT if _is_implicit(first) else None
    if int.from_bytes(first[:2], "big") < MAX_FIRST_GROUP and explicit:
        return BIG_ENDIAN
    return None


def _is_implicit(first: bytes) -> bool:
    """Return whether the 32-bit length is that of a short first element, or of a sequence."""
    return int.from_bytes(first[4:8], "little") < 2**16 or first[4:8] == b"\xff" * 4


def of_item(vr: bytes, syntax: Syntax) -> Syntax:
    """Return the encoding of an item by the bytes where its first element may have a VR.

    Some devices write items in Implicit VR in sequences of Explicit VR; pydicom reads them.
    """
    if vr in ALL_VRS or not syntax.explicit or len(vr) < 2:
        return syntax
    return IMPLICIT if syntax is EXPLICIT else IMPLICIT_BIG_ENDIAN


def is_text(tag: int, vr: bytes) -> bool:
    """Return whether an element holds a short text; ``vr`` is empty in Implicit VR.

    The VR of the data dictionary counts too: a name may claim to be of a VR without limit.
    """
    if vr in TEXT_VRS:
        return True
    try:
        return dictionary_VR(tag).encode() in PUBLIC_TEXT_VRS
    except KeyError:  # private, or not in the dictionary
        return False


def decode_text(value: bytes | bytearray) -> str:
    """Return ASCII text without its padding (PS3.5 9.1: NUL for UIDs; some write spaces)."""
    return value.rstrip(b"\0 ").decode("ascii", "replace")
