"""The connection of an association, read in large pieces and never waited for without end.

pynetdicom's ``AssociationSocket`` reads 4 KiB at a time and blocks until a PDU is complete,
however long its sender takes.
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
"""A CT slice of 512 x 512 and its command: its parts are gathered here for one write."""
MAX_ORDINARY_PDU = 1024 * 1024
"""Bytes of a PDU other than P-DATA-TF: an A-ASSOCIATE-RQ with 128 contexts has about 20,000."""
MAX_DRAINED = 1024 * 1024
POLL_SECONDS = 0.1
SEND_SECONDS = 30.0


class ConnectionLost(OSError):
    """The peer has closed the connection, or it broke."""


class Wire(AssociationSocket):  # type: ignore[misc] # pynetdicom is untyped
    """An ``AssociationSocket`` with a read buffer. For the thread of the DUL only.

    ``received`` : the bytes that were read and not consumed yet.
    """

    def __init__(
        self, assoc: Association, connection: socket.socket, *, stall_seconds: float
    ) -> None:
        super().__init__(assoc, client_socket=connection)
        self._stall_seconds = stall_seconds
        # Anonymous pages: none of it is memory before something comes.
        self._buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))
        self._start = self._end = 0
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if isinstance(connection, ssl.SSLSocket):
            connection.settimeout(POLL_SECONDS)
        else:
            # Half as many system calls as with a time-out of Python's.
            connection.settimeout(None)
            _set_timeout(connection, socket.SO_RCVTIMEO, POLL_SECONDS)
            _set_timeout(connection, socket.SO_SNDTIMEO, SEND_SECONDS)

    @property
    def received(self) -> int:
        """How many bytes can be peeked at or consumed."""
        return self._end - self._start

    def peek(self, count: int) -> memoryview:
        """The next bytes; they stay as they are until ``rewind``."""
        return self._buffer[self._start : self._start + count]

    def consume(self, count: int) -> None:
        """Go on behind the next bytes."""
        self._start += count

    @property
    def full(self) -> bool:
        """Whether the next ``fill`` overwrites what was peeked at."""
        return self._end == BUFFER_BYTES

    def rewind(self) -> None:
        """Go on at the front of the buffer."""
        kept = bytes(self.peek(self.received))  # a part of a header at the most
        self._start, self._end = 0, len(kept)
        self._buffer[: len(kept)] = kept

    def fill(self) -> bool:
        """Read more, waiting for at most ``POLL_SECONDS``; False when nothing came.

        Rewinds where the buffer is ``full``. Raises ConnectionLost.
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
        """Whether ``fill`` would not wait."""
        return bool(super().ready)

    def drain(self) -> None:
        """Throw away what is there, so that closing does not reset the connection."""
        self._start = self._end = 0
        drained = 0
        with suppress(ConnectionLost):
            while drained < MAX_DRAINED and self.readable and self.fill():
                drained += self.received
                self._start = self._end = 0

    def acknowledge(self) -> None:
        """Do not delay the ACK: a sender with Nagle's algorithm waits 40 ms for it."""
        if self.socket is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    # What follows is called by pynetdicom, for all but P-DATA-TF.

    @property
    def ready(self) -> bool:
        """Whether there is something to read, now."""
        return bool(self.received) or self.readable

    def recv(self, nr_bytes: int) -> bytearray:
        """So many bytes, less at the end of the connection; OSError at a bad length or pace."""
        if nr_bytes > MAX_ORDINARY_PDU:
            raise ConnectionLost(f"a PDU of {nr_bytes} bytes is not taken")
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
        """Send all, as ``AssociationSocket`` does."""
        if isinstance(self.socket, ssl.SSLSocket):
            self.socket.settimeout(SEND_SECONDS)
            super().send(bytestream)
            if self.socket is not None:
                self.socket.settimeout(POLL_SECONDS)
        else:
            super().send(bytestream)

    def _shutdown_socket(self) -> None:
        """Close, also where the peer has gone: pynetdicom leaves that to the collector."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


def _set_timeout(connection: socket.socket, option: int, seconds: float) -> None:
    whole = int(seconds)
    value = struct.pack("ll", whole, int((seconds - whole) * 1e6))
    connection.setsockopt(socket.SOL_SOCKET, option, value)
