"""What a receiving process and the main process tell each other.

The main process keeps what all associations share (``Arrivals``); a receiving process has a
stand-in for it that tells what happens, and passes on what it is told.
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

from db.spool import SeriesKey
from storescp.registration.arrivals import Full

GATHER_SECONDS = 0.05
"""An instance is told of within this time, with those that came meanwhile: far below any quiet
period, and one message for many."""
ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Entered:
    """May this association be admitted? Answered by ``Admission``."""

    sender: int
    peer: str
    limit: int
    limit_per_peer: int


@dataclass(frozen=True, slots=True)
class Noted:
    """An instance is durable: the arguments of ``Arrivals.note``."""

    sender: int | None
    key: SeriesKey
    assoc_id: str
    calling_ae_title: str
    changed: bool
    now: float


@dataclass(frozen=True, slots=True)
class Left:
    """An association has ended."""

    sender: int
    released: bool


@dataclass(frozen=True, slots=True)
class Metrics:
    """All metrics of a receiving process, as ``AskMetrics`` asked."""

    families: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class Alive:
    """Nothing else: a sign of life, now and then."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to ``Entered``."""

    sender: int
    full: Full


@dataclass(frozen=True, slots=True)
class Accepted:
    """A connection has been accepted; it follows."""

    address: Any


@dataclass(frozen=True, slots=True)
class AskMetrics:
    """Tell your metrics."""


@dataclass(frozen=True, slots=True)
class Stop:
    """No connection will come: end when the associations have."""


ToMain = Entered | Noted | Left | Metrics | Alive
ToReceiver = Admission | Accepted | AskMetrics | Stop


class Link:
    """One end of the pipe between the main process and a receiving one.

    Descriptors are passed over the same pipe by a socket that is kept: a new one cannot be had
    when too many files are open.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._socket = socket.socket(fileno=os.dup(pipe.fileno()))

    def limit_sending(self, seconds: int) -> None:
        """Let ``send`` raise OSError when the other end does not read for so long."""
        limit = struct.pack("ll", seconds, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def send(self, what: Any) -> None:
        """Raises OSError; after that nothing can be sent any more."""
        self._pipe.send(what)

    def receive(self) -> Any:
        """Wait for a message; raises EOFError or OSError when the other process has ended."""
        return self._pipe.recv()

    def has_come(self, seconds: float) -> bool:
        """Wait for a message, for so long at the most."""
        return self._pipe.poll(seconds)

    def hand_over(self, connection: socket.socket, address: Any) -> None:
        """Give a connection to the other process; it is closed here. As ``send``."""
        with connection:
            self._pipe.send(Accepted(address))
            socket.send_fds(self._socket, [b"\0"], [connection.fileno()])

    def take_over(self) -> socket.socket | None:
        """The connection that follows ``Accepted``; None where it was lost on its way, because
        this process has too many open files."""
        _, descriptors, _, _ = socket.recv_fds(self._socket, 1, 1)
        return socket.socket(fileno=descriptors[0]) if descriptors else None

    def close(self) -> None:
        """Close this end."""
        self._pipe.close()
        self._socket.close()


class ToldArrivals:
    """Stands for ``Arrivals`` in a receiving process, where associations are concerned.

    One thread tells; no other ever waits for the main process to read.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gathered: list[ToMain] = []
        self._something, self._urgent = threading.Event(), threading.Event()
        self._numbers = itertools.count()
        self._senders: dict[Hashable, int] = {}
        self._asking: dict[int, SimpleQueue[Full]] = {}

    def start(self, link: Link) -> None:
        """Begin to tell."""
        threading.Thread(target=self._run, args=(link,), name="teller", daemon=True).start()

    def enter(self, sender: Hashable, peer: str, *, limit: int, limit_per_peer: int) -> Full:
        """As ``Arrivals.enter``; raises queue.Empty when no answer comes."""
        number = next(self._numbers)
        answer = self._asking[number] = SimpleQueue()
        try:
            self.tell(Entered(number, peer, limit, limit_per_peer))
            full = answer.get(timeout=ANSWER_SECONDS)
        except Empty:
            self.tell(Left(number, released=False))  # should it be admitted all the same
            raise
        finally:
            del self._asking[number]
        if full is None:
            self._senders[sender] = number
        return full

    def answered(self, admission: Admission) -> None:
        """The main process has decided."""
        asking = self._asking.get(admission.sender)
        if asking is not None:
            asking.put(admission.full)

    def leave(self, sender: Hashable, *, released: bool) -> bool:
        """As ``Arrivals.leave``."""
        number = self._senders.pop(sender, None)
        if number is None:
            return False
        self.tell(Left(number, released))
        return True

    def note(
        self,
        sender: Hashable,
        key: SeriesKey,
        *,
        assoc_id: str,
        calling_ae_title: str,
        changed: bool,
        now: float,
    ) -> None:
        """As ``Arrivals.note``; which series it joins, the main process says."""
        number = self._senders.get(sender)  # it may have been aborted meanwhile
        self._gather(Noted(number, key, assoc_id, calling_ae_title, changed, now))

    def open_associations(self) -> int:
        """How many associations are open here."""
        return len(self._senders)

    def senders(self) -> list[Hashable]:
        """The associations that are open here."""
        return list(self._senders)

    def tell(self, what: ToMain) -> None:
        """Have this told at once, after what was gathered."""
        self._gather(what)
        self._urgent.set()

    def flush(self, link: Link) -> None:
        """Tell what was gathered; raises OSError."""
        with self._lock:
            gathered, self._gathered = self._gathered, []
        if gathered:
            link.send(gathered)

    def _gather(self, what: ToMain) -> None:
        with self._lock:
            self._gathered.append(what)
        self._something.set()

    def _run(self, link: Link) -> None:
        with suppress(OSError):  # the main process has gone; the main thread sees it, too
            while True:
                self._something.wait()
                self._urgent.wait(GATHER_SECONDS)
                self._something.clear()
                self._urgent.clear()
                self.flush(link)
