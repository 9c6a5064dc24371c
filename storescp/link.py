"""What a receiving process and the main process tell each other.

The main process keeps what all associations share (``Arrivals``); a receiving process has a
stand-in for it that tells what happens, and passes on what it is told.
"""

import itertools
import socket
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from queue import Empty, SimpleQueue
from typing import Any

from prometheus_client import Metric

from db.spool import SeriesKey
from storescp.arrivals import Full

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

    families: tuple[Metric, ...]


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


ToMain = Entered | Noted | Left | Metrics
ToReceiver = Admission | Accepted | AskMetrics | Stop


def hand_over(link: Connection, connection: socket.socket, address: Any, *, pid: int) -> None:
    """Give a connection to the process at the other end; it is closed here."""
    with connection:
        link.send(Accepted(address))
        send_handle(link, connection.fileno(), pid)


def take_over(link: Connection) -> socket.socket:
    """The connection that follows ``Accepted``."""
    return socket.socket(fileno=recv_handle(link))


class ToldArrivals:
    """Stands for ``Arrivals`` in a receiving process, where associations are concerned."""

    def __init__(self) -> None:
        self._link: Connection | None = None
        self._lock = threading.Lock()
        self._gathered: list[ToMain] = []
        self._something = threading.Event()
        self._numbers = itertools.count()
        self._senders: dict[Hashable, int] = {}
        self._asking: dict[int, SimpleQueue[Full]] = {}

    def connect(self, link: Connection) -> None:
        """Begin to tell."""
        self._link = link
        threading.Thread(target=self._tell_now_and_then, name="teller", daemon=True).start()

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
        with self._lock:
            self._gathered.append(Noted(number, key, assoc_id, calling_ae_title, changed, now))
        self._something.set()

    def open_associations(self) -> int:
        """How many associations are open here."""
        return len(self._senders)

    def senders(self) -> list[Hashable]:
        """The associations that are open here."""
        return list(self._senders)

    def tell(self, *told: ToMain) -> None:
        """Tell this at once, after what was gathered."""
        with self._lock:
            gathered, self._gathered = self._gathered, []
            if self._link is not None and (gathered or told):
                self._link.send((*gathered, *told))

    def _tell_now_and_then(self) -> None:
        while True:
            self._something.wait()
            self._something.clear()
            time.sleep(GATHER_SECONDS)
            self.tell()
