"""A deadline for all connections of an HTTP session.

The timeout of requests limits the silence between two reads. A server that sends a byte at a
time keeps a request open without a limit, in the headers as well as in the body.
"""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self


class ConnectionDeadline:
    """Context manager that shuts the connections of its pools down after some seconds.

    A wait on one of them then ends with an OSError of requests, and no further one is opened.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._lock = threading.Lock()
        self._open: dict[int, socket.socket] = {}
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            for one in self._open.values():
                one.close()
            self._open.clear()

    def apply_to(self, pool: Any) -> None:
        """Make an HTTP(S)ConnectionPool of urllib3 open its connections under this deadline."""
        deadline, connection_class = self, pool.ConnectionCls
        if getattr(connection_class, "has_deadline", False):
            return

        class Connection(connection_class):  # type: ignore[misc, valid-type] # known at run time
            has_deadline = True

            def _new_conn(self) -> socket.socket:
                opened: socket.socket = super()._new_conn()
                deadline._add(id(self), opened)
                return opened

        pool.ConnectionCls = Connection

    def _add(self, key: int, opened: socket.socket) -> None:
        # A duplicate: TLS takes over the descriptor of the original before its handshake.
        with self._lock:
            if self.passed:
                opened.close()
                raise TimeoutError
            if (earlier := self._open.pop(key, None)) is not None:
                earlier.close()
            self._open[key] = opened.dup()

    def _end(self) -> None:
        with self._lock:
            self.passed = True
            for one in self._open.values():
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
