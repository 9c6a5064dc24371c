"""What must not happen while bytes come that nobody expects: exceptions that nobody caught, and
memory, descriptors or threads that stay.
"""

import gc
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.servers import wait_for

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Held:
    """What this process holds."""

    megabytes: float
    descriptors: int
    threads: int


def held() -> Held:
    """Resident memory, open descriptors and threads, now."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
    descriptors = len(os.listdir("/proc/self/fd"))
    return Held(resident / MEGABYTE, descriptors, threading.active_count())


def wait_until_let_go(before: Held, seconds: float = 30) -> Held:
    """Wait until threads and descriptors are as few as before; what is held then."""

    def few() -> bool:
        now = held()
        return now.threads <= before.threads and now.descriptors <= before.descriptors

    wait_for(few, f"threads and descriptors to be no more than {before}", seconds)
    return held()


class Uncaught(logging.Handler):
    """Collects exceptions that end a thread, and those that a process boundary of ours logged.

    pynetdicom logs what it cannot decode as an exception, and aborts: that is its answer.
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
