"""What a destination made of one object: accepted, refused for good, or not now."""

from dataclasses import dataclass

# PS3.4 Table B.2-1 and PS3.7 Annex C; PS3.18 Table I.2-2 uses the same numbers in STOW-RS.
SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111
RESOURCE_LIMITATION = 0x0213
OUT_OF_RESOURCES = 0xA700
WARNINGS = frozenset({0xB000, 0xB006, 0xB007})

TRANSIENT = frozenset({PROCESSING_FAILURE, RESOURCE_LIMITATION})
MEANINGS = {
    PROCESSING_FAILURE: "processing failure",
    RESOURCE_LIMITATION: "resource limitation",
    0x0117: "invalid SOP instance",
    0x0122: "SOP class not supported",
    0x0124: "not authorized",
    0x0106: "invalid attribute value",
    0x0120: "missing attribute",
    0x0210: "duplicate invocation",
    0x0211: "unrecognized operation",
    0x0212: "mistyped argument",
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """The destination has the object. ``confirmed``: a query found it there."""

    status: str
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Permanent: the same object will be refused again, somebody has to act."""

    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Transient: try again later."""

    status: str
    text: str


Outcome = Accepted | Refused | Unreachable


def of_status(status: int) -> Outcome:
    """The outcome that a C-STORE status or a STOW-RS failure reason means."""
    written = f"0x{status:04X}"
    if status == SUCCESS or status in WARNINGS:
        return Accepted(written)
    if status == DUPLICATE_SOP_INSTANCE:
        # Our UIDs are digests of the content: what the destination holds is this object.
        return Accepted(written)
    if status in TRANSIENT or status & 0xFF00 == OUT_OF_RESOURCES:
        return Unreachable(written, MEANINGS.get(status, "out of resources"))
    return Refused(written, MEANINGS.get(status, _meaning_of_range(status)))


def of_http(code: int) -> Outcome:
    """The outcome that an HTTP status means for every object of the request."""
    written = f"HTTP {code}"
    if 200 <= code < 300:
        return Accepted(written)
    # 408 Request Timeout, 425 Too Early, 429 Too Many Requests ask for another try.
    if code >= 500 or code in (408, 425, 429):
        return Unreachable(written, "the server cannot take it now")
    return Refused(written, "the server refuses the request")


def _meaning_of_range(status: int) -> str:
    if status & 0xFF00 == 0xA900:
        return "data set does not match SOP class"
    if status & 0xF000 == 0xC000:
        return "cannot understand"
    return "failure"
