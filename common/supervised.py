"""Calls in a child process that end at a deadline, whatever the called library does.

A thread cannot be ended from outside: a library that waits without a limit keeps it. ``call``
therefore runs a function in a child process. The kernel ends the child at the deadline (SIGALRM
with its default action), so that neither a lock, a busy loop nor a system call can prolong it.
The caller stops to wait at the same time. A child ends with its parent, too.

To start Python and import the libraries of DICOM costs 2 s of CPU time. A server process does
this once and forks for each call (measured in docs/decisions/0021-deadlines.md). It has one
thread, so that a fork is safe. The forkserver of ``multiprocessing`` is not used: it imports
the main module of the caller again, which for a script without a guard runs the script.
"""

import atexit
import gc
import importlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, NoReturn, TypeVar

import structlog

from common.logging import LogOptions, configure_logging, get_logger, log_options

T = TypeVar("T")

START_SECONDS = 120.0
SUBMIT_SECONDS = 5.0
SLACK_SECONDS = 0.2  # a child that ended this close to its deadline was ended by it
SERVE = "from common.supervised import serve; serve()"
SETTINGS_PREFIX = "OSTEOSCREEN_"
READY = b"\1"

log = get_logger(__name__)


class DeadlineExceeded(Exception):
    """The call did not return in time; its process is ended."""


class ChildEnded(Exception):
    """The process of the call ended without a result."""


def call(
    function: Callable[..., T],
    *args: Any,
    seconds: float,
    raises: tuple[type[Exception], ...] = (),
    **options: Any,
) -> T:
    """Return the result of a function that runs in a child process for at most ``seconds``.

    ``function`` : of a module, not a lambda; it gets ``args`` and ``options``. They and the
    result must be picklable.
    ``raises`` : errors that are raised here; any other is logged by its class and raises
    ChildEnded. Raises DeadlineExceeded.
    """
    ours, theirs = socket.socketpair()
    connection = Connection(ours.detach())
    try:
        with theirs:
            _server.submit(theirs, function.__module__)
        end = time.monotonic() + seconds
        result: T = _result(connection, _Call(function, args, options, seconds, raises), end)
        return result
    finally:
        connection.close()


def prepare(module: str) -> None:
    """Start the server process with the module of later calls; the first one is then as quick.

    Raises ChildEnded.
    """
    _server.prepare(module)


@dataclass(frozen=True, slots=True)
class _Call:
    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    seconds: float
    raises: tuple[type[Exception], ...]
    log_options: LogOptions = field(default_factory=log_options)
    log_context: dict[str, Any] = field(default_factory=structlog.contextvars.get_contextvars)


def _result(connection: Connection, request: _Call, end: float) -> Any:
    try:
        connection.send(request)
        if not connection.poll(request.seconds):
            raise DeadlineExceeded
        value, error = connection.recv()
    except (EOFError, ConnectionError):
        if time.monotonic() > end - SLACK_SECONDS:
            raise DeadlineExceeded from None
        raise ChildEnded from None
    if error is not None:
        raise error
    return value


class _Server:
    """The process that forks. It is started by the first call, and again if it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def submit(self, job: socket.socket, module: str) -> None:
        """Hand over our end of a call; ``module`` : imported before the first fork."""
        with self._lock:
            try:
                socket.send_fds(self._running(module), [READY], [job.fileno()])
            except OSError:
                self._stop()
                try:
                    socket.send_fds(self._running(module), [READY], [job.fileno()])
                except OSError:
                    raise ChildEnded from None

    def prepare(self, module: str) -> None:
        """Start the server unless it runs."""
        with self._lock:
            self._running(module)

    def stop(self) -> None:
        """End the server; children end with this process."""
        with self._lock:
            self._stop()

    def _running(self, module: str) -> socket.socket:
        if self._channel is None or self._process is None or self._process.poll() is not None:
            self._stop()
            self._channel = self._start(module)
        return self._channel

    def _start(self, module: str) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-c", SERVE, str(theirs.fileno()), module],
                pass_fds=[theirs.fileno()],
                env=_environment(),
                stdin=subprocess.DEVNULL,
            )
        ours.settimeout(START_SECONDS)
        if ours.recv(1) != READY:
            raise ChildEnded
        ours.settimeout(SUBMIT_SECONDS)
        return ours

    def _stop(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._channel = self._process = None


def _environment() -> dict[str, str]:
    """Return the environment without our settings, which contain secrets."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS_PREFIX)}
    return kept | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


_server = _Server()
atexit.register(lambda: _server.stop())


def _start_over() -> None:
    """Leave the server process to the parent: a forked process starts one of its own."""
    global _server
    _server = _Server()


os.register_at_fork(after_in_child=_start_over)


def serve() -> None:
    """Fork a child for each call until the parent ends; the entry of the server process."""
    number, module = sys.argv[1:]
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)  # calls in progress may end; the parent decides
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    importlib.import_module(module)
    gc.freeze()  # keeps the pages shared
    with socket.socket(fileno=int(number)) as channel:
        channel.send(READY)
        while descriptors := socket.recv_fds(channel, 1, 1)[1]:
            with suppress(OSError):  # no process left: the call ends without a result
                if os.fork() == 0:
                    channel.close()
                    _run(Connection(descriptors[0]))
            os.close(descriptors[0])


def _run(connection: Connection) -> NoReturn:
    try:
        request: _Call = connection.recv()
        signal.setitimer(signal.ITIMER_REAL, request.seconds)
        threading.Thread(target=_end_with_parent, args=(connection,), daemon=True).start()
        log_format, level, disabled = request.log_options
        configure_logging(log_format, level=level)
        logging.disable(disabled)
        structlog.contextvars.bind_contextvars(**request.log_context)
        connection.send(_outcome(request))
    finally:
        # Without the end of the interpreter, which would wait for threads of the library.
        os._exit(0)


def _outcome(request: _Call) -> tuple[Any, Exception | None]:
    try:
        return request.function(*request.args, **request.options), None
    except request.raises as error:
        return None, error
    except Exception as error:
        log.error("supervised_call_failed", error=type(error).__name__)
        return None, ChildEnded()


def _end_with_parent(connection: Connection) -> None:
    with suppress(OSError, EOFError):
        connection.poll(None)  # the parent sends nothing more: this is its end
    os._exit(0)
