"""Functions that run in a child process, each with a way to never return."""

import os
import re
import signal
import threading
from pathlib import Path

import worker.delivery.store_scu  # noqa: F401 - libraries as in a delivery


class Expected(Exception):
    """An error that the caller expects."""


def add(a: int, b: int) -> int:
    return a + b


def fail(expected: bool) -> None:
    raise Expected("text") if expected else ValueError("the patient")


def spin() -> None:
    while True:
        pass


def hold_the_interpreter() -> None:
    """Run C code that does not release the GIL, for longer than any test."""
    re.match(r"(a+)+$", "a" * 200 + "b")


def wait() -> None:
    threading.Event().wait()


def ignore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Event().wait()


def leave_a_thread() -> str:
    threading.Thread(target=threading.Event().wait, daemon=False).start()
    return "returned"


def end_process() -> None:
    os._exit(3)


def write_pid_and_wait(path: Path) -> None:
    path.write_text(str(os.getpid()))
    threading.Event().wait()
