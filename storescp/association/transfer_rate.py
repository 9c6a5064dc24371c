"""Detect a message that arrives too slowly. The caller reads the clock."""

from dataclasses import dataclass

KILOBYTE = 1024


class TransferTimeout(Exception):
    """The sender stalls, or is slower than the minimum rate."""


@dataclass(slots=True)
class TransferRateMonitor:
    """The transfer rate of the message that one association is receiving.

    ``stall_seconds`` : longest silence within a message, and the time after which its average
    rate must have reached ``min_kb_per_second``.
    """

    stall_seconds: float
    min_kb_per_second: float
    _begun: float | None = None
    _last: float = 0.0
    _received: int = 0

    def add(self, count: int, *, now: float) -> None:
        """Count received bytes; the first ones begin a message."""
        if self._begun is None:
            self._begun, self._received = now, 0
        self._received += count
        self._last = now

    def end(self) -> None:
        """End the message; the time until the next one is not limited."""
        self._begun = None

    def check(self, *, now: float) -> None:
        """Raise TransferTimeout for a message that is too slow."""
        if self._begun is None:
            return
        if now - self._last > self.stall_seconds:
            raise TransferTimeout(f"silent for {self.stall_seconds:g} s within a message")
        late = now - self._begun - self.stall_seconds
        if late > 0 and self._received < late * self.min_kb_per_second * KILOBYTE:
            raise TransferTimeout(f"slower than {self.min_kb_per_second:g} KB/s")
