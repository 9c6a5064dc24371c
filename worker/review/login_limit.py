"""Limit of wrong tokens for each address. The caller reads the clock."""

from dataclasses import dataclass, field

MAX_FAILURES = 10
"""Wrong tokens of one address within a window; a person mistypes one twice or three times."""
WINDOW_SECONDS = 60.0
MAX_ADDRESSES = 10_000


@dataclass(slots=True)
class LoginLimit:
    """Failed logins by address."""

    _failures: dict[str, list[float]] = field(default_factory=dict)

    def wait_seconds(self, address: str, *, now: float) -> float:
        """Return the time until an address may try again; 0 if it may now."""
        recent = self._recent(address, now)
        return recent[0] + WINDOW_SECONDS - now if len(recent) >= MAX_FAILURES else 0.0

    def failed(self, address: str, *, now: float) -> None:
        """Count a wrong token."""
        recent = self._recent(address, now)
        self._failures.pop(address, None)  # the newest address is the last
        while len(self._failures) >= MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]
        self._failures[address] = [*recent, now]

    def _recent(self, address: str, now: float) -> list[float]:
        return [at for at in self._failures.get(address, ()) if now - at < WINDOW_SECONDS]
