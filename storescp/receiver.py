"""A receiving process: it serves the connections that the main process hands to it.

It ends when it is told, and at once when the main process has gone.
"""

import os
import signal
import threading
import time
from multiprocessing.connection import Connection

from db.telemetry import REGISTRY, get_logger
from storescp.link import (
    Accepted,
    Admission,
    AskMetrics,
    Metrics,
    Stop,
    ToldArrivals,
    ToReceiver,
    take_over,
)
from storescp.server import StorageServer

TICK_SECONDS = 0.25

log = get_logger(__name__)


def receive(server: StorageServer, arrivals: ToldArrivals, link: Connection) -> int:
    """Serve until ``Stop`` and the end of the associations; an exit code.

    ``server`` : bound, with ``arrivals``; made before this process was forked.
    """
    # Ctrl-C and some supervisors signal all processes; the main one tells us in order.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    server.leave_port()
    arrivals.connect(link)
    server.start()
    tick_at = 0.0
    stopping: threading.Thread | None = None
    try:
        while stopping is None or stopping.is_alive():
            if time.monotonic() >= tick_at:
                server.tick()
                tick_at = time.monotonic() + TICK_SECONDS
            if not link.poll(TICK_SECONDS):
                continue
            told: ToReceiver = link.recv()
            match told:
                case Accepted(address):
                    server.take(take_over(link), address)
                case Admission():
                    arrivals.answered(told)
                case AskMetrics():
                    arrivals.tell(Metrics(tuple(REGISTRY.collect())))
                case Stop():
                    # In a thread: associations that end may still want answers.
                    stopping = threading.Thread(target=server.stop, name="stopping")
                    stopping.start()
    except (EOFError, OSError):
        return 1  # the main process has gone; what was acknowledged is on disk
    arrivals.tell()
    return 0


def run(server: StorageServer, arrivals: ToldArrivals, link: Connection) -> None:
    """``receive`` in a process that was forked; does not return."""
    code = 1
    try:
        code = receive(server, arrivals, link)
    except BaseException:
        log.exception("receiver_failed")
    finally:
        os._exit(code)  # what the main process registered for its own end is not ours
