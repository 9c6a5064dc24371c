"""Checks during fuzzing: uncaught exceptions, and leaks of memory, descriptors or threads."""

import gc
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.servers import wait_for

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Resources:
    """Resources of this process."""

    megabytes: float
    descriptors: int
    threads: int


def current() -> Resources:
    """Return resident memory, open descriptors and threads."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
    descriptors = len(os.listdir("/proc/self/fd"))
    return Resources(resident / MEGABYTE, descriptors, threading.active_count())


def reset_peak() -> float:
    """Set the peak of resident memory to the present, in MB, and return it."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_megabytes()


def peak_megabytes() -> float:
    """Return the peak of resident memory since ``reset_peak``."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def wait_until_released(before: Resources, seconds: float = 30) -> Resources:
    """Wait until threads and descriptors are as few as before; return the resources."""

    def released() -> bool:
        now = current()
        return now.threads <= before.threads and now.descriptors <= before.descriptors

    wait_for(released, f"threads and descriptors to be no more than {before}", seconds)
    return current()


class UncaughtExceptions(logging.Handler):
    """Collects exceptions that ended a thread or were logged.

    Except those of pynetdicom: it logs what it cannot decode as an exception, and aborts.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("pynetdicom"):
            return
        event = record.msg if isinstance(record.msg, dict) else {}
        if record.exc_info or event.get("exc_info") or "exception" in event:
            self.found.append(f"{record.name}: {record.getMessage()} {record.exc_info}")

    def __enter__(self) -> Self:
        self._hook = threading.excepthook
        threading.excepthook = lambda arguments: self.found.append(
            f"{arguments.thread}: {arguments.exc_value!r}"
        )
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        threading.excepthook = self._hook
        logging.getLogger().removeHandler(self)
