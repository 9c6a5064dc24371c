"""Syslog over TLS: messages of RFC 5424, framed and sent as RFC 5425 says."""

import fcntl
import socket
import ssl
import termios
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from common.tls import Tls, client_context

PRIORITY = 10 * 8 + 5
"""Facility security/authorization (authpriv), severity notice (RFC 5424 6.2.1)."""
MESSAGE_ID = "DICOM+RFC3881"
"""MSGID of audit messages (PS3.15 A.6)."""
BOM = "\ufeff".encode()
SECONDS = 15.0
"""Time to connect, to send a batch and to hear that it was read."""


@dataclass(frozen=True, slots=True)
class SyslogServer:
    """Address of an audit record repository."""

    host: str
    port: int


def syslog_message(body: bytes, *, at: datetime, host: str, process: str) -> bytes:
    """Return a message of RFC 5424 with a body in UTF-8."""
    time_text = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    name = "".join(one for one in host if "!" <= one <= "~")[:255] or "-"
    header = f"<{PRIORITY}>1 {time_text} {name} osteoscreen {process} {MESSAGE_ID} - "
    return header.encode() + BOM + body


def send_messages(server: SyslogServer, tls: Tls, messages: Sequence[bytes]) -> None:
    """Send messages over one connection; return when the server has read all of them.

    Syslog has no acknowledgment. A server answers the close of TLS after it has read what was
    sent before (RFC 5425 4.4); until it does, the messages count as not sent. Raises OSError,
    within about ``SECONDS``.
    """
    deadline = time.monotonic() + SECONDS
    with (
        socket.create_connection((server.host, server.port), timeout=SECONDS) as plain,
        client_context(tls).wrap_socket(
            plain, server_hostname=server.host, suppress_ragged_eofs=False
        ) as connection,
    ):
        for message in messages:
            connection.settimeout(_remaining(deadline))
            connection.sendall(b"%d %s" % (len(message), message))
        connection.settimeout(_remaining(deadline))
        _close(connection)


def _close(connection: ssl.SSLSocket) -> None:
    """Close TLS, and wait until the server has closed, too; raises OSError.

    rsyslog closes TCP without the answer of RFC 5425. This counts if its host has acknowledged
    every byte: a server that closes before it has read all resets the connection.
    """
    try:
        connection.unwrap()
    except ssl.SSLEOFError:
        unacknowledged = array("i", [0])
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, unacknowledged)
        if unacknowledged[0]:
            raise OSError("the server closed before it had read all messages") from None


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError(f"not sent within {SECONDS:.0f} s")
    return remaining
