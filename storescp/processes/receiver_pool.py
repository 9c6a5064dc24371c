"""The receiver processes, as the main process sees them.

The threads of one Python process share one core; several processes receive on several cores
(docs/decisions/0017-receivers.md). The main process has the port, ``Associations`` and the
metrics, and hands each connection to the process with the fewest associations.
"""

import gc
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import Pipe
from queue import Empty, SimpleQueue

from prometheus_client import Metric

from common.logging import get_logger
from common.metrics import ASSOCIATIONS
from storescp.association.server import SHUTDOWN_SECONDS, StorageServer
from storescp.processes.channel import (
    Admission,
    AssociationClosed,
    AssociationOpened,
    AssociationsProxy,
    ConnectionsSettled,
    InstanceRefused,
    InstanceStored,
    Metrics,
    ReceiverChannel,
    RequestMetrics,
    Stop,
    ToMain,
    ToReceiver,
)
from storescp.processes.receiver_process import run
from storescp.processes.waiting_connections import WaitingConnections
from storescp.registration.associations import Associations
from storescp.store.store_operation import log_arriving

METRICS_SECONDS = 2.0
SEND_SECONDS = 3
SILENT_SECONDS = 60.0
WATCH_SECONDS = 5.0
END_SECONDS = SHUTDOWN_SECONDS + 1.0
RETRY_SECONDS = 0.1
TOO_MANY = "too_many_connections_of_peer"
ASSOCIATIONS.labels(TOO_MANY)  # from 0: alert ConnectionsRefused

log = get_logger(__name__)


@dataclass(slots=True)
class ReceiverProcess:
    """A receiver process.

    ``last_connection`` : number of the connection that it got last. ``received_at`` :
    monotonic time of its last message.
    """

    pid: int
    channel: ReceiverChannel
    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: SimpleQueue[Metrics] = field(default_factory=SimpleQueue)
    metrics: Metrics = field(default_factory=Metrics)
    last_connection: int = 0
    received_at: float = 0.0

    def send(self, message: ToReceiver) -> None:
        """Send a message; raises OSError when the process has ended or does not read."""
        with self.lock:
            self.channel.send(message)


class ReceiverPool:
    """Fork and supervise the receiver processes.

    ``start`` must precede any other thread of the process.
    """

    def __init__(
        self,
        server: StorageServer,
        proxy: AssociationsProxy,
        associations: Associations,
        *,
        waiting: WaitingConnections,
        on_failure: Callable[[], None],
    ) -> None:
        """``server`` : made with ``proxy``. ``waiting`` : the limit of connections.
        ``on_failure`` : called when a process ends without ``Stop``, or is silent."""
        self._server = server
        self._proxy = proxy
        self._associations = associations
        self._waiting = waiting
        self._on_failure = on_failure
        self._receivers: list[ReceiverProcess] = []
        self._acceptor = threading.Thread(target=self._accept, name="acceptor", daemon=True)
        self._stopping = threading.Event()
        self._metrics_lock = threading.Lock()
        self.failed = False

    def start(self, count: int) -> None:
        """Bind the port and fork; raises OSError when it cannot be bound."""
        self._server.bind()
        gc.freeze()  # keeps the pages of existing objects shared
        for _ in range(count):
            self._receivers.append(self._fork())

    def serve(self) -> None:
        """Open the port and start the threads; raises OSError when the port is in use."""
        self._server.listen()
        for receiver in self._receivers:
            receiver.received_at = time.monotonic()
            name = f"receiver {receiver.pid}"
            threading.Thread(
                target=self._receive_all, args=(receiver,), name=name, daemon=True
            ).start()
        threading.Thread(target=self._watch, name="receiver watch", daemon=True).start()
        self._acceptor.start()

    def stop(self) -> None:
        """Stop accepting; wait up to ``END_SECONDS`` for open associations, then kill."""
        self._stopping.set()
        self._server.close_port()
        deadline = time.monotonic() + END_SECONDS
        for receiver in self._receivers:
            _try_to_send(receiver, Stop())
        for receiver in self._receivers:
            _await_end(receiver.pid, deadline)

    def problem(self) -> str | None:
        """Return None while connections are accepted; for a health probe."""
        if self.failed or not self._acceptor.is_alive():
            return "no connection is accepted"
        return None

    def metrics(self) -> Iterator[Metric]:
        """Yield the metrics of all processes; the previous ones of a silent process."""
        with self._metrics_lock:
            for receiver in self._receivers:
                while not receiver.answers.empty():  # late answers to the previous request
                    receiver.metrics = receiver.answers.get()
            requested = [one for one in self._receivers if _try_to_send(one, RequestMetrics())]
            deadline = time.monotonic() + METRICS_SECONDS
            for receiver in requested:
                left = max(0.0, deadline - time.monotonic())
                try:
                    receiver.metrics = receiver.answers.get(timeout=left)
                except Empty:
                    log.warning("receiver_silent", pid=receiver.pid)
            families = [one for each in self._receivers for one in each.metrics.families]
        yield from families

    def _fork(self) -> ReceiverProcess:
        ours, theirs = Pipe()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for receiver in self._receivers:
                receiver.channel.close()
            run(self._server, self._proxy, ReceiverChannel(theirs))
        theirs.close()
        channel = ReceiverChannel(ours)
        channel.limit_sending(SEND_SECONDS)
        return ReceiverProcess(pid, channel)

    def _accept(self) -> None:
        """Accept connections; the body of a thread."""
        number = 0
        while not self._stopping.is_set():
            try:
                connection, address = self._server.accept()
            except OSError as error:
                if not self._stopping.is_set():
                    log.error("accept_failed", error=error.strerror)
                    time.sleep(RETRY_SECONDS)  # such as too many open files
                continue
            if not self._waiting.admit(address[0]):
                _refuse(connection, address[0])
                continue
            number += 1
            receiver = self._least_loaded()
            receiver.last_connection = number
            try:
                with receiver.lock:
                    receiver.channel.hand_over(connection, address)
            except OSError as error:
                self._fail(receiver, error)
                return

    def _least_loaded(self) -> ReceiverProcess:
        open_now = Counter(
            sender[0] for sender in self._associations.senders() if isinstance(sender, tuple)
        )
        # Several connections may arrive before the first one is an association.
        return min(self._receivers, key=lambda one: (open_now[one.pid], one.last_connection))

    def _watch(self) -> None:
        """Detect silent processes; the body of a thread."""
        while not self._stopping.wait(WATCH_SECONDS):
            for receiver in self._receivers:
                silent = time.monotonic() - receiver.received_at
                if silent > SILENT_SECONDS:
                    self._fail(receiver, TimeoutError(f"silent for {silent:.0f} s"))
                    return

    def _receive_all(self, receiver: ReceiverProcess) -> None:
        """Receive the messages of one process; the body of a thread."""
        try:
            while True:
                for message in receiver.channel.receive():
                    self._handle(receiver, message)
        except (EOFError, OSError) as error:
            self._fail(receiver, error)
        except Exception as error:
            log.exception("receiver_not_understood", pid=receiver.pid)
            self._fail(receiver, error)

    def _fail(self, receiver: ReceiverProcess, error: Exception) -> None:
        """Call ``on_failure`` once. Instances that were acknowledged are on disk."""
        if not self._stopping.is_set() and not self.failed:
            self.failed = True
            reason = str(error) or type(error).__name__
            log.error("receiver_ended", pid=receiver.pid, reason=reason)
            self._on_failure()

    def _handle(self, receiver: ReceiverProcess, message: ToMain) -> None:
        receiver.received_at = time.monotonic()
        match message:
            case InstanceStored():
                correlation_id = self._associations.instance_stored(
                    (receiver.pid, message.sender), message.arrival
                )
                log_arriving(message.arrival, correlation_id)
            case InstanceRefused():
                self._associations.instance_refused(
                    (receiver.pid, message.sender),
                    message.key,
                    message.sop_instance_uid,
                    now=message.now,
                )
            case AssociationOpened():
                limit = self._associations.open(
                    (receiver.pid, message.sender),
                    message.peer,
                )
                receiver.send(Admission(message.sender, limit))
            case AssociationClosed():
                self._associations.close(
                    (receiver.pid, message.sender), released=message.released
                )
            case ConnectionsSettled():
                for address in message.addresses:
                    self._waiting.settle(address)
            case Metrics():
                receiver.answers.put(message)


def _refuse(connection: socket.socket, address: str) -> None:
    """Close a connection above the limit of its address, with as little work as possible."""
    connection.close()
    ASSOCIATIONS.labels(TOO_MANY).inc()
    log.warning("connection_refused", peer=address, reason=TOO_MANY)


def _try_to_send(receiver: ReceiverProcess, message: ToReceiver) -> bool:
    try:
        receiver.send(message)
    except OSError:
        return False  # it has ended
    return True


def _await_end(pid: int, deadline: float) -> None:
    """Wait for the end of a process; kill it at the deadline."""
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            log.error("receiver_killed", pid=pid)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(0.02)
