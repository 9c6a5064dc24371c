"""What a destination made of one object: accepted, refused for good, or not now."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from db.outbox import ConfirmedBy

# PS3.4 Table B.2-1 and PS3.7 Annex C; PS3.18 Table I.2-2 uses the same numbers in STOW-RS.
SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111
RESOURCE_LIMITATION = 0x0213
OUT_OF_RESOURCES = 0xA700
# PS3.7 C.3: Bxxx and these are warnings, the object is stored.
WARNINGS = frozenset({0x0001, 0x0107, 0x0116})

TRANSIENT = frozenset({PROCESSING_FAILURE, RESOURCE_LIMITATION})
MEANINGS = {
    PROCESSING_FAILURE: "processing failure",
    RESOURCE_LIMITATION: "resource limitation",
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0112: "no such SOP instance",
    0x0115: "invalid argument value",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class and instance conflict",
    0x0120: "missing attribute",
    0x0121: "missing attribute value",
    0x0122: "SOP class not supported",
    0x0124: "not authorized",
    0x0210: "duplicate invocation",
    0x0211: "unrecognized operation",
    0x0212: "mistyped argument",
    0xC122: "transfer syntax not supported",
}
HTTP_MEANINGS = {
    400: "the server does not understand the request",
    401: "the token is missing or wrong",
    403: "the token does not allow this",
    404: "no such address",
    405: "no STOW-RS at this address",
    409: "the server stored nothing",
    413: "the object is too large for the server",
    415: "the server does not take application/dicom",
}
MAX_RETRY_AFTER_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The destination has the object. ``confirmed_by`` : it was also seen to be there."""

    status: str
    confirmed_by: ConfirmedBy | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Permanent: the same object will be refused again, somebody has to act."""

    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Transient: try again later, not before ``retry_after_seconds`` where it says so."""

    status: str
    text: str
    retry_after_seconds: float = 0.0


Outcome = Accepted | Refused | Unreachable


def of_status(status: int) -> Outcome:
    """The outcome that a C-STORE status or a STOW-RS failure reason means."""
    written = f"0x{status:04X}"
    if status == SUCCESS or status in WARNINGS or status & 0xF000 == 0xB000:
        return Accepted(written)
    if status == DUPLICATE_SOP_INSTANCE:
        # Our UIDs are digests of the content: what the destination holds is this object.
        return Accepted(written)
    if status in TRANSIENT or status & 0xFF00 == OUT_OF_RESOURCES:
        return Unreachable(written, MEANINGS.get(status, "out of resources"))
    return Refused(written, MEANINGS.get(status, _meaning_of_range(status)))


def of_http(code: int, retry_after: str | None = None) -> Outcome:
    """The outcome that an HTTP status means for every object of the request.

    ``retry_after`` : the header of that name (RFC 9110 10.2.3).
    """
    written = f"HTTP {code}"
    if 200 <= code < 300:
        return Accepted(written)
    # 408 Request Timeout, 425 Too Early, 429 Too Many Requests ask for another try.
    if code >= 500 or code in (408, 425, 429):
        seconds = seconds_of(retry_after, now=datetime.now(UTC))
        return Unreachable(written, "the server cannot take it now", seconds)
    return Refused(written, HTTP_MEANINGS.get(code, "the server refuses the request"))


def seconds_of(retry_after: str | None, *, now: datetime) -> float:
    """Retry-After as seconds from ``now``, of a day at most; 0 where it says nothing."""
    try:
        seconds = float(retry_after or 0)
    except ValueError:
        try:
            moment = parsedate_to_datetime(str(retry_after))
            seconds = (moment - now).total_seconds()
        except (TypeError, ValueError):
            return 0.0
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)


def _meaning_of_range(status: int) -> str:
    if status & 0xFF00 == 0xA900:
        return "data set does not match SOP class"
    if status & 0xF000 == 0xC000:
        return "cannot understand"
    return "failure"
