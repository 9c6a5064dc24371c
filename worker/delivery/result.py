"""Outcome of sending one object: accepted, refused, or unreachable."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from common.dicomnet.status import (
    DUPLICATE_SOP_INSTANCE,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    SUCCESS,
)
from db.commitment import NOT_COMMITTED
from db.outbox import ConfirmedBy

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
OF_THE_OBJECT = (400, 413, 422)
"""HTTP statuses that concern the request: the same objects would be refused again."""
MAY_BE_THE_OBJECT = (409, 500)
"""Transient ones after which another object may be accepted."""
HTTP_MEANINGS = {
    301: "the server has moved",
    302: "the server asks for a login, or has moved",
    303: "the server asks for a login, or has moved",
    307: "the server has moved",
    308: "the server has moved",
    400: "the server does not understand the request",
    401: "the token is missing or wrong",
    403: "the token does not allow this",
    404: "no such address",
    405: "no STOW-RS at this address",
    407: "a proxy asks for a login",
    408: "the server cannot take it now",
    409: "the server stored nothing",
    413: "the object is too large for the server",
    415: "the server does not take application/dicom",
    425: "the server cannot take it now",
    429: "the server cannot take it now",
}
DEADLINE = "deadline"  # recorded where there is no status
MAX_RETRY_AFTER_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The destination stored the object. ``confirmed_by`` : how the storage was verified."""

    status: str
    confirmed_by: ConfirmedBy | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Permanent failure: the destination would refuse the same object again."""

    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Transient failure: try again, not before ``retry_after_seconds`` from now.

    ``blocks_destination`` : no other object would be accepted either.
    """

    status: str
    text: str
    retry_after_seconds: float = 0.0
    blocks_destination: bool = False


Outcome = Accepted | Refused | Unreachable


def may_be_stored(outcome: Refused | Unreachable) -> bool:
    """Return whether a destination may have stored an object of a failed delivery.

    Not where it refused the object, nor where none was sent: no association, no connection,
    access denied.
    """
    if isinstance(outcome, Refused):
        return outcome.status == NOT_COMMITTED  # after C-STORE was answered with success
    return not outcome.blocks_destination or outcome.status == DEADLINE


def of_status(status: int) -> Outcome:
    """Return the outcome of a C-STORE status or a STOW-RS failure reason."""
    written = f"0x{status:04X}"
    if status == SUCCESS or status in WARNINGS or status & 0xF000 == 0xB000:
        return Accepted(written)
    if status == DUPLICATE_SOP_INSTANCE:
        # Our UIDs are digests of the content: the stored object is the same.
        return Accepted(written)
    if status in TRANSIENT or status & 0xFF00 == OUT_OF_RESOURCES:
        return Unreachable(written, MEANINGS.get(status, "out of resources"))
    return Refused(written, MEANINGS.get(status, _meaning_of_range(status)))


def of_http(code: int, retry_after: str | None = None, location: str | None = None) -> Outcome:
    """Return the outcome of an HTTP status, for every object of the request.

    ``retry_after``, ``location`` : the headers of these names (RFC 9110 10.2).
    """
    written = f"HTTP {code}"
    if 200 <= code < 300:
        return Accepted(written)
    if code in OF_THE_OBJECT:
        return Refused(written, HTTP_MEANINGS.get(code, "the server refuses the request"))
    text = HTTP_MEANINGS.get(
        code, "the server cannot take it now" if code >= 500 else "the server refuses us"
    )
    if 300 <= code < 400 and location is not None:
        parts = urlsplit(location)  # without user and query, which may hold secrets
        text += f" to {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:200]
    seconds = seconds_of(retry_after, now=datetime.now(UTC))
    return Unreachable(written, text, seconds, blocks_destination=code not in MAY_BE_THE_OBJECT)


def seconds_of(retry_after: str | None, *, now: datetime) -> float:
    """Return Retry-After as seconds from ``now``, at most one day; 0 if absent or invalid."""
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
