"""Messages between the main process and a receiver process.

The main process has the ``Associations`` of all receiver processes; each of them has an
``AssociationsProxy``, which sends events to the main process and receives its answers.
"""

import itertools
import os
import socket
import struct
import threading
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from typing import Any

from prometheus_client import Metric

from common.spool.layout import SeriesKey
from storescp.registration.arrival import Arrival
from storescp.registration.associations import LimitReached

BATCH_SECONDS = 0.05
"""Longest delay of ``InstanceStored``, so that one message carries many; far below any quiet
period."""
ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class AssociationOpened:
    """The arguments of ``Associations.open``; answered by ``Admission``."""

    sender: int
    peer: str


@dataclass(frozen=True, slots=True)
class InstanceStored:
    """The arguments of ``Associations.instance_stored``."""

    sender: int | None
    arrival: Arrival


@dataclass(frozen=True, slots=True)
class InstanceRefused:
    """The arguments of ``Associations.instance_refused``."""

    sender: int | None
    key: SeriesKey | None
    sop_instance_uid: str
    now: float


@dataclass(frozen=True, slots=True)
class AssociationClosed:
    """The arguments of ``Associations.close``."""

    sender: int
    released: bool


@dataclass(frozen=True, slots=True)
class ConnectionsSettled:
    """The addresses for ``WaitingConnections.settle``."""

    addresses: list[str]


@dataclass(frozen=True, slots=True)
class Metrics:
    """All metrics of a receiver process; the answer to ``RequestMetrics``."""

    families: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Periodic sign of life."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to ``AssociationOpened``."""

    sender: int
    limit: LimitReached | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The address of an accepted connection, whose descriptor follows."""

    address: Any


@dataclass(frozen=True, slots=True)
class RequestMetrics:
    """Asks for ``Metrics``."""


@dataclass(frozen=True, slots=True)
class Stop:
    """No more connections follow: end after the open associations."""


ToMain = (
    AssociationOpened
    | InstanceStored
    | InstanceRefused
    | AssociationClosed
    | ConnectionsSettled
    | Metrics
    | Heartbeat
)
ToReceiver = Admission | Accepted | RequestMetrics | Stop


class ReceiverChannel:
    """One end of the pipe between the main process and a receiver process.

    Descriptors are sent over the same pipe by a socket object that is kept: a new one cannot be
    created when too many files are open.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._socket = socket.socket(fileno=os.dup(pipe.fileno()))

    def limit_sending(self, seconds: int) -> None:
        """Make ``send`` raise OSError when the other end does not read for this time."""
        limit = struct.pack("ll", seconds, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def send(self, message: Any) -> None:
        """Send a message; raises OSError, after which nothing more can be sent."""
        self._pipe.send(message)

    def receive(self) -> Any:
        """Wait for a message; raises EOFError or OSError when the other process has ended."""
        return self._pipe.recv()

    def poll(self, seconds: float) -> bool:
        """Return whether a message arrives within ``seconds``."""
        return self._pipe.poll(seconds)

    def hand_over(self, connection: socket.socket, address: Any) -> None:
        """Send a connection to the other process and close it here; raises OSError."""
        with connection:
            self._pipe.send(Accepted(address))
            socket.send_fds(self._socket, [b"\0"], [connection.fileno()])

    def take_over(self) -> socket.socket | None:
        """Receive the connection that follows ``Accepted``.

        Returns None where it is lost because this process has too many open files.
        """
        _, descriptors, _, _ = socket.recv_fds(self._socket, 1, 1)
        return socket.socket(fileno=descriptors[0]) if descriptors else None

    def close(self) -> None:
        """Close this end."""
        self._pipe.close()
        self._socket.close()


class AssociationsProxy:
    """``Associations`` as a receiver process sees them.

    One thread sends; no other thread waits for the main process to read.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outgoing: list[ToMain] = []
        self._pending, self._urgent = threading.Event(), threading.Event()
        self._numbers = itertools.count()
        self._senders: dict[Hashable, int] = {}
        self._admissions: dict[int, SimpleQueue[LimitReached | None]] = {}

    def start(self, channel: ReceiverChannel) -> None:
        """Start the sending thread."""
        threading.Thread(
            target=self._run, args=(channel,), name="channel sender", daemon=True
        ).start()

    def open(self, sender: Hashable, peer: str) -> LimitReached | None:
        """As ``Associations.open``; raises queue.Empty when no answer arrives."""
        number = next(self._numbers)
        answer = self._admissions[number] = SimpleQueue()
        try:
            self.send(AssociationOpened(number, peer))
            limit = answer.get(timeout=ANSWER_SECONDS)
        except Empty:
            # The main process may admit it later.
            self.send(AssociationClosed(number, released=False))
            raise
        finally:
            del self._admissions[number]
        if limit is None:
            self._senders[sender] = number
        return limit

    def admitted(self, admission: Admission) -> None:
        """Take the answer of the main process to ``AssociationOpened``."""
        answer = self._admissions.get(admission.sender)
        if answer is not None:
            answer.put(admission.limit)

    def close(self, sender: Hashable, *, released: bool) -> bool:
        """As ``Associations.close``."""
        number = self._senders.pop(sender, None)
        if number is None:
            return False
        self.send(AssociationClosed(number, released))
        return True

    def instance_stored(self, sender: Hashable, arrival: Arrival) -> None:
        """As ``Associations.instance_stored``; the main process logs ``series_arriving``."""
        number = self._senders.get(sender)  # None: aborted meanwhile
        self._queue(InstanceStored(number, arrival))

    def instance_refused(
        self, sender: Hashable, key: SeriesKey | None, sop_instance_uid: str, *, now: float
    ) -> None:
        """As ``Associations.instance_refused``."""
        self._queue(InstanceRefused(self._senders.get(sender), key, sop_instance_uid, now))

    def count(self) -> int:
        """Return the number of open associations of this process."""
        return len(self._senders)

    def senders(self) -> list[Hashable]:
        """Return the open associations of this process."""
        return list(self._senders)

    def send(self, message: ToMain) -> None:
        """Send a message immediately, after those that are queued."""
        self._queue(message)
        self._urgent.set()

    def flush(self, channel: ReceiverChannel) -> None:
        """Send the queued messages; raises OSError."""
        with self._lock:
            outgoing, self._outgoing = self._outgoing, []
        if outgoing:
            channel.send(outgoing)

    def _queue(self, message: ToMain) -> None:
        with self._lock:
            self._outgoing.append(message)
        self._pending.set()

    def _run(self, channel: ReceiverChannel) -> None:
        with suppress(OSError):  # the main process has ended; the main thread notices, too
            while True:
                self._pending.wait()
                self._urgent.wait(BATCH_SECONDS)
                self._pending.clear()
                self._urgent.clear()
                self.flush(channel)
