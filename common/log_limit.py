"""Limit the log lines about refused clients, which a client could repeat without end."""

import threading
import time
from collections.abc import Callable

import structlog

REFUSALS = frozenset(
    {
        "association_broken_off",
        "association_rejected",
        "connection_refused",
        "login_delayed",
        "login_refused",
        "message_skipped",
        "no_context_accepted",
        "not_dicom",
        "tls_failed",
    }
)
"""Events that a client can cause without being admitted."""
WINDOW_SECONDS = 60.0
MAX_LINES = 20
"""Lines with the same event, peer and reason within a window."""
MAX_KEYS = 200
"""Different ones within a window; all further ones count as one."""


class RefusalLimit:
    """A processor of structlog that drops repeated refusals.

    The first line after a window has ``suppressed``, the number of lines that were dropped.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begun = clock()
        self._lines: dict[tuple[object, ...], int] = {}
        self._suppressed = 0

    def __call__(
        self, _: object, __: str, event_dict: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """Return the line, or raise structlog.DropEvent."""
        if event_dict.get("event") not in REFUSALS:
            return event_dict
        names = ("event", "peer", "address", "reason", "error")
        with self._lock:
            suppressed = self._begin_window()
            key = tuple(event_dict.get(name) for name in names)
            if key not in self._lines and len(self._lines) >= MAX_KEYS:
                key = ()
            self._lines[key] = self._lines.get(key, 0) + 1
            if self._lines[key] > MAX_LINES:
                self._suppressed += 1
                raise structlog.DropEvent
        if suppressed:
            event_dict["suppressed"] = suppressed
        return event_dict

    def _begin_window(self) -> int:
        """Begin a window where one has ended; return the lines that were dropped in it."""
        if self._clock() - self._begun < WINDOW_SECONDS:
            return 0
        dropped, self._suppressed = self._suppressed, 0
        self._begun = self._clock()
        self._lines.clear()
        return dropped
