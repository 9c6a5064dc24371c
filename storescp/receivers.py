"""The processes that receive, as the main process sees them.

The threads of one Python process take turns; several processes receive on several cores
(docs/decisions/0017-receivers.md). This process keeps the port, ``Arrivals`` and the metrics,
and hands each connection to the process with the fewest associations.
"""

import gc
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue

from prometheus_client import Metric

from db.telemetry import get_logger
from storescp.arrivals import Arrivals
from storescp.link import (
    Admission,
    AskMetrics,
    Entered,
    Left,
    Metrics,
    Noted,
    Stop,
    ToldArrivals,
    ToMain,
    ToReceiver,
    hand_over,
)
from storescp.operation import say_arriving
from storescp.receiver import run
from storescp.server import SHUTDOWN_SECONDS, StorageServer

METRICS_SECONDS = 2.0
END_SECONDS = SHUTDOWN_SECONDS + 1.0
FULL_SECONDS = 0.1

log = get_logger(__name__)


@dataclass(slots=True)
class Receiver:
    """One of the processes. ``handed``: when it was last given a connection."""

    pid: int
    link: Connection
    lock: threading.Lock = field(default_factory=threading.Lock)
    metrics: SimpleQueue[Metrics] = field(default_factory=SimpleQueue)
    handed: int = 0

    def tell(self, what: ToReceiver) -> None:
        """Raises OSError when the process has ended."""
        with self.lock:
            self.link.send(what)


class Receivers:
    """Forks them; ``start`` must come before any other thread of the process."""

    def __init__(
        self,
        server: StorageServer,
        told: ToldArrivals,
        arrivals: Arrivals,
        *,
        on_failure: Callable[[], None],
    ) -> None:
        """``server`` : with ``told`` in place of ``arrivals``. ``on_failure`` : is called when
        a process ended that was not told to."""
        self._server = server
        self._told = told
        self._arrivals = arrivals
        self._on_failure = on_failure
        self._receivers: list[Receiver] = []
        self._acceptor = threading.Thread(target=self._accept, name="acceptor", daemon=True)
        self._stopping = False
        self.failed = False

    def start(self, count: int) -> None:
        """Bind and fork; raises OSError when the port cannot be bound."""
        self._server.bind()
        gc.freeze()  # what is here now stays shared memory
        for _ in range(count):
            self._receivers.append(self._fork())

    def serve(self) -> None:
        """Open the port and hear the processes, in the background; raises OSError when the
        port is taken."""
        self._server.listen()
        for number, receiver in enumerate(self._receivers):
            threading.Thread(
                target=self._listen, args=(receiver,), name=f"receiver {number}", daemon=True
            ).start()
        self._acceptor.start()

    def stop(self) -> None:
        """Accept nobody any more, let open associations finish for a while."""
        self._stopping = True
        self._server.close_port()
        for receiver in self._receivers:
            _try_to_tell(receiver, Stop())
        deadline = time.monotonic() + END_SECONDS
        for receiver in self._receivers:
            _await_end(receiver.pid, deadline)

    def ask(self) -> str | None:
        """What a health probe wants to know: None while connections are accepted."""
        if self.failed or not self._acceptor.is_alive():
            return "no connection is accepted"
        return None

    def metrics(self) -> Iterator[Metric]:
        """Those of all the processes, as they are now."""
        asked = [one for one in self._receivers if _try_to_tell(one, AskMetrics())]
        for receiver in asked:
            try:
                yield from receiver.metrics.get(timeout=METRICS_SECONDS).families
            except Empty:
                log.warning("receiver_silent", pid=receiver.pid)

    def _fork(self) -> Receiver:
        ours, theirs = Pipe()
        pid = os.fork()
        if pid == 0:
            for link in (ours, *(one.link for one in self._receivers)):
                link.close()
            run(self._server, self._told, theirs)
        theirs.close()
        return Receiver(pid, ours)

    def _accept(self) -> None:
        """The thread that accepts connections."""
        for number in range(1, 2**63):
            try:
                connection, address = self._server.accept()
            except OSError as error:
                if self._stopping:
                    return
                log.error("accept_failed", error=error.strerror)
                time.sleep(FULL_SECONDS)  # too many open files, and the like
                continue
            receiver = self._idlest()
            receiver.handed = number
            try:
                with receiver.lock:
                    hand_over(receiver.link, connection, address, pid=receiver.pid)
            except OSError:
                return  # it has ended, and so shall we

    def _idlest(self) -> Receiver:
        open_now = Counter(
            sender[0] for sender in self._arrivals.senders() if isinstance(sender, tuple)
        )
        # Several connections may come before the first is an association.
        return min(self._receivers, key=lambda one: (open_now[one.pid], one.handed))

    def _listen(self, receiver: Receiver) -> None:
        """The thread that hears what one process tells."""
        try:
            while True:
                for told in receiver.link.recv():
                    self._hear(receiver, told)
        except (EOFError, OSError):
            pass
        except Exception:
            log.exception("receiver_not_understood", pid=receiver.pid)
        if not self._stopping:
            # Whatever it held is on disk, or was not acknowledged: all start anew.
            log.error("receiver_ended", pid=receiver.pid)
            self.failed = True
            self._on_failure()

    def _hear(self, receiver: Receiver, told: ToMain) -> None:
        match told:
            case Noted():
                correlation_id = self._arrivals.note(
                    (receiver.pid, told.sender),
                    told.key,
                    assoc_id=told.assoc_id,
                    calling_ae_title=told.calling_ae_title,
                    changed=told.changed,
                    now=told.now,
                )
                say_arriving(told.assoc_id, correlation_id, told.key)
            case Entered():
                full = self._arrivals.enter(
                    (receiver.pid, told.sender),
                    told.peer,
                    limit=told.limit,
                    limit_per_peer=told.limit_per_peer,
                )
                receiver.tell(Admission(told.sender, full))
            case Left():
                self._arrivals.leave((receiver.pid, told.sender), released=told.released)
            case Metrics():
                receiver.metrics.put(told)


def _try_to_tell(receiver: Receiver, what: ToReceiver) -> bool:
    try:
        receiver.tell(what)
    except OSError:
        return False  # it has ended
    return True


def _await_end(pid: int, deadline: float) -> None:
    """Wait for a process, and kill it when it is late."""
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(0.02)
