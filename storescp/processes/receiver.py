"""A receiving process: it serves the connections that the main process hands to it.

It ends when it is told, and at once when the main process has gone.
"""

import os
import signal
import threading
import time
from typing import Any

from db.telemetry import REGISTRY, get_logger
from storescp.association.server import StorageServer
from storescp.processes.link import (
    Accepted,
    Admission,
    Alive,
    AskMetrics,
    Link,
    Metrics,
    Stop,
    ToldArrivals,
    ToReceiver,
)

TICK_SECONDS = 0.25
ALIVE_SECONDS = 5.0

log = get_logger(__name__)


def run(server: StorageServer, arrivals: ToldArrivals, link: Link) -> None:
    """Be a receiving process, in one that was forked; does not return.

    ``server`` : bound, with ``arrivals``; made before the fork.
    """
    code = 1
    try:
        code = _receive(server, arrivals, link)
    except BaseException:
        log.exception("receiver_failed")
    finally:
        os._exit(code)  # what the main process registered for its own end is not ours


def _receive(server: StorageServer, arrivals: ToldArrivals, link: Link) -> int:
    """Serve until ``Stop`` and the end of the associations; an exit code.

    This thread only hears: what there is to say, another one tells, so that the two processes
    never wait for each other to read.
    """
    # Ctrl-C and some supervisors signal all processes; the main one tells us in order.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    server.leave_port()
    arrivals.start(link)
    server.start()
    tick_at = alive_at = 0.0
    stopping: threading.Thread | None = None
    try:
        while stopping is None or stopping.is_alive():
            now = time.monotonic()
            if now >= tick_at:
                server.tick()
                tick_at = now + TICK_SECONDS
            if now >= alive_at:
                arrivals.tell(Alive())
                alive_at = now + ALIVE_SECONDS
            if not link.has_come(TICK_SECONDS):
                continue
            told: ToReceiver = link.receive()
            match told:
                case Accepted(address):
                    _take(server, link, address)
                case Admission():
                    arrivals.answered(told)
                case AskMetrics():
                    arrivals.tell(Metrics(tuple(REGISTRY.collect())))
                case Stop():
                    # In a thread: associations that end may still want answers.
                    stopping = threading.Thread(target=server.stop, name="stopping")
                    stopping.start()
        arrivals.flush(link)
    except (EOFError, OSError):
        return 1  # the main process has gone; what was acknowledged is on disk
    return 0


def _take(server: StorageServer, link: Link, address: Any) -> None:
    """One connection that cannot be served must not end the others."""
    connection = link.take_over()
    if connection is None:
        log.error("connection_lost", peer=address[0], error="too many open files")
        return
    try:
        server.take(connection, address)
    except Exception as error:
        log.error("connection_lost", peer=address[0], error=type(error).__name__)
        connection.close()
