"""A server that answers each connection by one byte after another, without an end."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PAUSE_SECONDS = 0.02

TLS_HELLO = b"\x16\x03\x03\x40\x00"  # RFC 8446 5.1: header of a record of 16 KiB
ASSOCIATE_AC = b"\x02\x00\x00\x10\x00\x00"  # PS3.8 9.3.3: header of a PDU of 1 MiB


@contextmanager
def dribbling_server(first: bytes = b"", part: bytes = b"x") -> Iterator[int]:
    """Run the server and yield its port; ``part`` is sent again and again."""
    stopped = threading.Event()
    threads: list[threading.Thread] = []

    def dribble(connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(first)
                while not stopped.wait(PAUSE_SECONDS):
                    connection.sendall(part)
            except OSError:
                return  # the client has gone

    def accept(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed
            threads.append(threading.Thread(target=dribble, args=(connection,)))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = threading.Thread(target=accept, args=(listener,))
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopped.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in (acceptor, *threads):
                thread.join()
