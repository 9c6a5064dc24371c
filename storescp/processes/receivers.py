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
from queue import Empty, SimpleQueue

from prometheus_client import Metric

from db.telemetry import get_logger
from storescp.association.server import SHUTDOWN_SECONDS, StorageServer
from storescp.operation import say_arriving
from storescp.processes.link import (
    Admission,
    AskMetrics,
    Entered,
    Left,
    Link,
    Metrics,
    Noted,
    Stop,
    ToldArrivals,
    ToMain,
    ToReceiver,
)
from storescp.processes.receiver import run
from storescp.registration.arrivals import Arrivals

METRICS_SECONDS = 2.0
SEND_SECONDS = 3
SILENT_SECONDS = 60.0
LOOK_SECONDS = 5.0
END_SECONDS = SHUTDOWN_SECONDS + 1.0
RETRY_SECONDS = 0.1

log = get_logger(__name__)


@dataclass(slots=True)
class Receiver:
    """One of the processes.

    ``handed`` : the number of its last connection; ``heard_at`` : when it last said something.
    """

    pid: int
    link: Link
    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: SimpleQueue[Metrics] = field(default_factory=SimpleQueue)
    metrics: Metrics = field(default_factory=Metrics)
    handed: int = 0
    heard_at: float = 0.0

    def tell(self, what: ToReceiver) -> None:
        """Raises OSError when the process has ended or does not read."""
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
        a process has ended that was not told to, or does not answer."""
        self._server = server
        self._told = told
        self._arrivals = arrivals
        self._on_failure = on_failure
        self._receivers: list[Receiver] = []
        self._acceptor = threading.Thread(target=self._accept, name="acceptor", daemon=True)
        self._stopping = threading.Event()
        self._asking = threading.Lock()
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
        for receiver in self._receivers:
            receiver.heard_at = time.monotonic()
            name = f"receiver {receiver.pid}"
            threading.Thread(
                target=self._hear_all, args=(receiver,), name=name, daemon=True
            ).start()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        self._acceptor.start()

    def stop(self) -> None:
        """Accept nobody any more, let open associations finish for a while."""
        self._stopping.set()
        self._server.close_port()
        deadline = time.monotonic() + END_SECONDS
        for receiver in self._receivers:
            _try_to_tell(receiver, Stop())
        for receiver in self._receivers:
            _await_end(receiver.pid, deadline)

    def ask(self) -> str | None:
        """What a health probe wants to know: None while connections are accepted."""
        if self.failed or not self._acceptor.is_alive():
            return "no connection is accepted"
        return None

    def metrics(self) -> Iterator[Metric]:
        """Those of all the processes: as they are now, of a silent one as they were."""
        with self._asking:
            for receiver in self._receivers:
                while not receiver.answers.empty():  # too late for the last question
                    receiver.metrics = receiver.answers.get()
            asked = [one for one in self._receivers if _try_to_tell(one, AskMetrics())]
            deadline = time.monotonic() + METRICS_SECONDS
            for receiver in asked:
                left = max(0.0, deadline - time.monotonic())
                try:
                    receiver.metrics = receiver.answers.get(timeout=left)
                except Empty:
                    log.warning("receiver_silent", pid=receiver.pid)
            families = [one for each in self._receivers for one in each.metrics.families]
        yield from families

    def _fork(self) -> Receiver:
        ours, theirs = Pipe()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for receiver in self._receivers:
                receiver.link.close()
            run(self._server, self._told, Link(theirs))
        theirs.close()
        link = Link(ours)
        link.limit_sending(SEND_SECONDS)
        return Receiver(pid, link)

    def _accept(self) -> None:
        """The thread that accepts connections."""
        number = 0
        while not self._stopping.is_set():
            try:
                connection, address = self._server.accept()
            except OSError as error:
                if not self._stopping.is_set():
                    log.error("accept_failed", error=error.strerror)
                    time.sleep(RETRY_SECONDS)  # too many open files, and the like
                continue
            number += 1
            receiver = self._idlest()
            receiver.handed = number
            try:
                with receiver.lock:
                    receiver.link.hand_over(connection, address)
            except OSError as error:
                self._fail(receiver, error)
                return

    def _idlest(self) -> Receiver:
        open_now = Counter(
            sender[0] for sender in self._arrivals.senders() if isinstance(sender, tuple)
        )
        # Several connections may come before the first is an association.
        return min(self._receivers, key=lambda one: (open_now[one.pid], one.handed))

    def _watch(self) -> None:
        """The thread that looks whether the processes live."""
        while not self._stopping.wait(LOOK_SECONDS):
            for receiver in self._receivers:
                silent = time.monotonic() - receiver.heard_at
                if silent > SILENT_SECONDS:
                    self._fail(receiver, TimeoutError(f"silent for {silent:.0f} s"))
                    return

    def _hear_all(self, receiver: Receiver) -> None:
        """The thread that hears what one process tells."""
        try:
            while True:
                for told in receiver.link.receive():
                    self._hear(receiver, told)
        except (EOFError, OSError) as error:
            self._fail(receiver, error)
        except Exception as error:
            log.exception("receiver_not_understood", pid=receiver.pid)
            self._fail(receiver, error)

    def _fail(self, receiver: Receiver, error: Exception) -> None:
        """All start anew: what the process has acknowledged is on disk."""
        if not self._stopping.is_set() and not self.failed:
            self.failed = True
            reason = str(error) or type(error).__name__
            log.error("receiver_ended", pid=receiver.pid, reason=reason)
            self._on_failure()

    def _hear(self, receiver: Receiver, told: ToMain) -> None:
        receiver.heard_at = time.monotonic()
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
                receiver.answers.put(told)


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
            log.error("receiver_killed", pid=pid)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(0.02)
