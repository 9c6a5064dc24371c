"""Heartbeat of a lease: a thread that extends it while its holder works."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

BEATS_PER_LEASE = 3


class LeaseHeartbeat:
    """Context manager that extends a lease every third of its length.

    ``extend`` : extends the lease and returns whether it is still held; not called again after
    it has returned False. ``on_limit`` : called once the block has run for ``limit_seconds``.
    Both run in the thread of the heartbeat.
    """

    def __init__(
        self,
        extend: Callable[[], bool],
        *,
        lease_seconds: float,
        limit_seconds: float = float("inf"),
        on_limit: Callable[[], None] | None = None,
    ) -> None:
        self._extend = extend
        self._interval_seconds = lease_seconds / BEATS_PER_LEASE
        self._limit_seconds = limit_seconds
        self._on_limit = on_limit
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finished.set()
        self._thread.join()

    def _run(self) -> None:
        end = time.monotonic() + self._limit_seconds
        held = True
        while not self._finished.wait(
            max(0.0, min(self._interval_seconds, end - time.monotonic()))
        ):
            if self._on_limit is not None and time.monotonic() >= end:
                return self._on_limit()
            if held:
                held = self._extend()
        return None
