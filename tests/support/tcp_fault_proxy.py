"""TCP proxy in front of a PACS that can be closed, silent, slow, or reject associations."""

import socket
import threading
import time
from contextlib import suppress
from typing import Literal, Self

from deploy.demo.embedded import free_port

Mode = Literal[
    "open", "down", "silent", "stops", "slow", "rejects transient", "rejects permanent"
]
PART_BYTES = 65_536
SLOW_BYTES, SLOW_PAUSE = 16_384, 0.02  # about 800 KB/s
STOP_AFTER_BYTES = 6000  # after the association request, within the first object
# PS3.8 9.3.4: result, source, reason
REJECTS = {"rejects transient": (2, 3, 2), "rejects permanent": (1, 1, 7)}


class TcpFaultProxy:
    """Relays TCP connections of one port to another, with the fault of ``mode``.

    ``connections`` : number of connections that were accepted.
    """

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self.connections = 0
        self._target = port
        self._mode: Mode = "open"
        self._listener: socket.socket | None = None
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        """Set the fault of new connections; close the existing ones."""
        self._mode = mode
        self.cut()
        if mode == "down":
            self._close()
        elif self._listener is None:
            self._listen()

    def cut(self) -> None:
        """Close all connections."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for connection in sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self.cut()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes up the accepting thread
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._keep(client)
        mode = self._mode
        with suppress(OSError):
            if mode == "silent":
                while client.recv(PART_BYTES):
                    pass
            elif mode in REJECTS:
                client.recv(PART_BYTES)
                client.sendall(bytes((3, 0, 0, 0, 0, 4, 0, *REJECTS[mode])))
                client.recv(1)
            else:
                server = socket.create_connection(("127.0.0.1", self._target))
                self._keep(server)
                back = threading.Thread(
                    target=self._relay, args=(server, client, "open"), daemon=True
                )
                back.start()
                self._relay(client, server, mode)
                back.join()

    def _relay(self, source: socket.socket, sink: socket.socket, mode: Mode) -> None:
        relayed = 0
        with suppress(OSError):
            while part := source.recv(SLOW_BYTES if mode == "slow" else PART_BYTES):
                if mode == "slow":
                    time.sleep(SLOW_PAUSE)
                relayed += len(part)
                if mode != "stops" or relayed < STOP_AFTER_BYTES:
                    sink.sendall(part)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _keep(self, connection: socket.socket) -> None:
        with self._lock:
            self._sockets.add(connection)
