"""A receiver process: serves the connections that the main process hands over.

It ends after ``Stop``, or immediately when the main process has ended.
"""

import os
import signal
import threading
import time
from typing import Any

from common.logging import get_logger
from common.metrics import REGISTRY
from storescp.association.server import StorageServer
from storescp.processes.channel import (
    Accepted,
    Admission,
    AssociationsProxy,
    ConnectionsSettled,
    Heartbeat,
    Metrics,
    ReceiverChannel,
    RequestMetrics,
    Stop,
    ToReceiver,
)

TICK_SECONDS = 0.25
HEARTBEAT_SECONDS = 5.0

log = get_logger(__name__)


def run(
    server: StorageServer, associations: AssociationsProxy, channel: ReceiverChannel
) -> None:
    """Run as a receiver process after a fork; does not return.

    ``server`` : bound, made with ``associations`` before the fork.
    """
    code = 1
    try:
        code = _receive(server, associations, channel)
    except BaseException:
        log.exception("receiver_failed")
    finally:
        os._exit(code)  # skip the exit handlers of the main process


def _receive(
    server: StorageServer, associations: AssociationsProxy, channel: ReceiverChannel
) -> int:
    """Serve until ``Stop`` and the end of the associations; return the exit code.

    This thread receives; the thread of ``AssociationsProxy`` sends. The two processes therefore
    never wait for each other to read.
    """
    # Ctrl-C and some supervisors signal all processes; the main process sends ``Stop``.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    server.leave_port()
    associations.start(channel)
    server.start()
    tick_at = heartbeat_at = 0.0
    stopping: threading.Thread | None = None
    try:
        while stopping is None or stopping.is_alive():
            now = time.monotonic()
            if now >= tick_at:
                if settled := server.tick():
                    associations.send(ConnectionsSettled(settled))
                tick_at = now + TICK_SECONDS
            if now >= heartbeat_at:
                associations.send(Heartbeat())
                heartbeat_at = now + HEARTBEAT_SECONDS
            if not channel.poll(TICK_SECONDS):
                continue
            message: ToReceiver = channel.receive()
            match message:
                case Accepted(address):
                    _take(server, associations, channel, address)
                case Admission():
                    associations.admitted(message)
                case RequestMetrics():
                    associations.send(Metrics(tuple(REGISTRY.collect())))
                case Stop():
                    # In a thread: associations that end may still wait for an ``Admission``.
                    stopping = threading.Thread(target=server.stop, name="stopping")
                    stopping.start()
        associations.flush(channel)
    except (EOFError, OSError):
        return 1  # the main process has ended; acknowledged instances are on disk
    return 0


def _take(
    server: StorageServer,
    associations: AssociationsProxy,
    channel: ReceiverChannel,
    address: Any,
) -> None:
    """Serve a connection; an error closes only this one."""
    connection = channel.take_over()
    if connection is None:
        associations.send(ConnectionsSettled([address[0]]))
        log.error("connection_lost", peer=address[0], error="too many open files")
        return
    try:
        server.take(connection, address)
    except Exception as error:
        log.error("connection_lost", peer=address[0], error=type(error).__name__)
        connection.close()
