"""A process that floods a port with connections from loopback addresses.

``python -m tests.support.flood PORT ADDRESSES`` floods from this number of addresses until its
standard input is closed; it prints the number of connections that it made.
"""

import os
import selectors
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.demo.processes import Process

ADDRESSES = tuple(f"127.0.0.{number}" for number in range(2, 10))
CONNECTING = 250
HELD = 600
HALF_REQUEST = struct.pack(">BxLHH", 1, 300, 1, 0) + b"OSTEOSCREEN     "
MANNERS = (b"", HALF_REQUEST, b"GET / HTTP/1.1\r\n")


@contextmanager
def flooded(port: int, addresses: int = len(ADDRESSES)) -> Iterator[None]:
    """Flood ``port`` while the context is open; assert that it was flooded."""
    command = [sys.executable, "-m", "tests.support.flood", str(port), str(addresses)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "flooding\n"
        try:
            yield
        finally:
            process.stdin.close()
            made = int(process.stdout.readline())
    assert made > 2 * CONNECTING


def usage(process: Process) -> tuple[int, int]:
    """Return the resident MiB and the open files of a process and its children."""
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    pids = [process.pid, *(int(pid) for task in tasks for pid in task.read_text().split())]
    kib = [
        Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0] for pid in pids
    ]
    return sum(map(int, kib)) // 1024, sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


class _Flood:
    """Connections that are opened as fast as the port takes them, and held while it does."""

    def __init__(self, port: int, addresses: int) -> None:
        self._port = port
        self._addresses = ADDRESSES[:addresses]
        self._selector = selectors.DefaultSelector()
        self._held: list[socket.socket] = []
        self._connecting: dict[socket.socket, float] = {}
        self._opened = 0
        self.made = 0

    def step(self) -> None:
        """Open connections, and take those that were made."""
        while len(self._connecting) < CONNECTING:
            self._open()
        for key, _ in self._selector.select(0.05):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            self._forget(connection)
            with suppress(OSError):
                connection.send(MANNERS[self.made % len(MANNERS)] or b"\1")
            self.made += 1
            self._held.append(connection)
        while len(self._held) > HELD:
            self._held.pop(0).close()
        late = time.monotonic() - 3
        for connection in [one for one, at in self._connecting.items() if at < late]:
            self._forget(connection)
            connection.close()

    def _open(self) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        connection.bind((self._addresses[self._opened % len(self._addresses)], 0))
        connection.connect_ex(("127.0.0.1", self._port))
        self._opened += 1
        self._connecting[connection] = time.monotonic()
        self._selector.register(connection, selectors.EVENT_WRITE)

    def _forget(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._connecting[connection]


def main() -> None:
    """Flood until the end of the standard input."""
    flood = _Flood(int(sys.argv[1]), int(sys.argv[2]))
    ended = selectors.DefaultSelector()
    ended.register(sys.stdin, selectors.EVENT_READ)
    begun = False
    while not ended.select(0):
        flood.step()
        if not begun and flood.made > CONNECTING:
            print("flooding", flush=True)
            begun = True
    print(flood.made, flush=True)


if __name__ == "__main__":
    main()
