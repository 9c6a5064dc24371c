"""The socket of an association, with a large read buffer and timeouts.

pynetdicom's ``AssociationSocket`` reads 4 KiB at a time and blocks without limit until a PDU is
complete.
"""

import mmap
import socket
import ssl
import struct
import time
from contextlib import suppress

from pynetdicom import Association
from pynetdicom.transport import AssociationSocket

BUFFER_BYTES = 1024 * 1024
"""Holds a CT slice of 512 x 512 and its command, so that one write takes all parts."""
MAX_ORDINARY_PDU = 1024 * 1024
"""Limit of PDUs other than P-DATA-TF: an A-ASSOCIATE-RQ with 128 contexts has about 20,000."""
MAX_DRAINED = 1024 * 1024
POLL_SECONDS = 0.1
SEND_SECONDS = 30.0


class ConnectionLost(OSError):
    """The peer has closed the connection, or the connection failed."""


class BufferedAssociationSocket(AssociationSocket):  # type: ignore[misc] # pynetdicom is untyped
    """An ``AssociationSocket`` with a read buffer. For the thread of the DUL only."""

    def __init__(
        self, assoc: Association, connection: socket.socket, *, stall_seconds: float
    ) -> None:
        super().__init__(assoc, client_socket=connection)
        self._stall_seconds = stall_seconds
        # Anonymous pages use no memory before they are written.
        self._buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))
        self._start = self._end = 0
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if isinstance(connection, ssl.SSLSocket):
            connection.settimeout(POLL_SECONDS)
        else:
            # Python's own timeout needs twice as many system calls.
            connection.settimeout(None)
            _set_timeout(connection, socket.SO_RCVTIMEO, POLL_SECONDS)
            _set_timeout(connection, socket.SO_SNDTIMEO, SEND_SECONDS)

    @property
    def received(self) -> int:
        """The number of bytes that are read and not consumed."""
        return self._end - self._start

    def peek(self, count: int) -> memoryview:
        """Return a view of the next bytes, at most ``count``, valid until ``rewind``."""
        return self._buffer[self._start : min(self._start + count, self._end)]

    def consume(self, count: int) -> None:
        """Skip the next bytes."""
        self._start += count

    @property
    def full(self) -> bool:
        """True if the next ``fill`` invalidates the views from ``peek``."""
        return self._end == BUFFER_BYTES

    def rewind(self) -> None:
        """Move the bytes that are not consumed to the start of the buffer."""
        kept = bytes(self.peek(self.received))  # less than one header
        self._start, self._end = 0, len(kept)
        self._buffer[: len(kept)] = kept

    def fill(self) -> bool:
        """Read from the socket, for at most ``POLL_SECONDS``; False when nothing arrived.

        Rewinds a ``full`` buffer. Raises ConnectionLost.
        """
        if self.full:
            self.rewind()
        if self.socket is None:
            raise ConnectionLost("closed")
        try:
            count = self.socket.recv_into(self._buffer[self._end :])
        except (BlockingIOError, TimeoutError, ssl.SSLWantReadError):
            return False
        except OSError as error:
            raise ConnectionLost(type(error).__name__) from None
        if count == 0:
            raise ConnectionLost("closed by the peer")
        self._end += count
        return True

    @property
    def readable(self) -> bool:
        """True if ``fill`` returns without waiting."""
        return bool(super().ready)

    def drain(self) -> None:
        """Discard pending input: closing with unread input would reset the connection."""
        self._start = self._end = 0
        drained = 0
        with suppress(ConnectionLost):
            while drained < MAX_DRAINED and self.readable and self.fill():
                drained += self.received
                self._start = self._end = 0

    def acknowledge(self) -> None:
        """Send the ACK immediately: a sender with Nagle's algorithm waits 40 ms for it."""
        if self.socket is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    # pynetdicom calls the following methods, for all PDUs except P-DATA-TF.

    @property
    def ready(self) -> bool:
        """True if input is available."""
        return bool(self.received) or self.readable

    def recv(self, nr_bytes: int) -> bytearray:
        """Read ``nr_bytes``, or fewer at a timeout or the end of the connection.

        Raises OSError for a PDU that is too long.
        """
        if nr_bytes > MAX_ORDINARY_PDU:
            raise ConnectionLost(f"PDU of {nr_bytes} bytes exceeds {MAX_ORDINARY_PDU}")
        deadline = time.monotonic() + self._stall_seconds
        data = bytearray()
        while len(data) < nr_bytes:
            part = self.peek(min(nr_bytes - len(data), self.received))
            data += part
            self.consume(len(part))
            if len(data) < nr_bytes and not self._fill_before(deadline):
                break
        return data

    def _fill_before(self, deadline: float) -> bool:
        try:
            while not self.fill():
                if self.assoc._kill:
                    return False
                if time.monotonic() > deadline:
                    return False
        except ConnectionLost:
            return False
        return True

    def send(self, bytestream: bytes) -> None:
        """Send all bytes, as ``AssociationSocket`` does."""
        if isinstance(self.socket, ssl.SSLSocket):
            self.socket.settimeout(SEND_SECONDS)
            super().send(bytestream)
            if self.socket is not None:
                self.socket.settimeout(POLL_SECONDS)
        else:
            super().send(bytestream)

    def _shutdown_socket(self) -> None:
        """Close the socket also where the peer has gone, which pynetdicom does not do."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


def _set_timeout(connection: socket.socket, option: int, seconds: float) -> None:
    whole = int(seconds)
    value = struct.pack("ll", whole, int((seconds - whole) * 1e6))
    connection.setsockopt(socket.SOL_SOCKET, option, value)
