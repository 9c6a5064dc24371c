"""Does a message come fast enough? A rule over times and bytes; the caller reads the clock."""

from dataclasses import dataclass

KILOBYTE = 1024


class TooSlow(Exception):
    """The sender stalls, or sends so slowly that it only holds a place."""


@dataclass(slots=True)
class Pace:
    """The pace of the message that is coming in on one association.

    ``stall_seconds`` : silence that is tolerated within a message, and the time after which
    its average must have reached ``min_kb_per_second``.
    """

    stall_seconds: float
    min_kb_per_second: float
    _begun: float | None = None
    _last: float = 0.0
    _received: int = 0

    def add(self, count: int, *, now: float) -> None:
        """So many bytes have come: of the message, or they are the first of one."""
        if self._begun is None:
            self._begun, self._received = now, 0
        self._received += count
        self._last = now

    def end(self) -> None:
        """The message is complete; there is no hurry with the next."""
        self._begun = None

    def check(self, *, now: float) -> None:
        """Raise TooSlow where it is."""
        if self._begun is None:
            return
        if now - self._last > self.stall_seconds:
            raise TooSlow(f"silent for {self.stall_seconds:g} s within a message")
        late = now - self._begun - self.stall_seconds
        if late > 0 and self._received < late * self.min_kb_per_second * KILOBYTE:
            raise TooSlow(f"slower than {self.min_kb_per_second:g} KB/s")
