"""States and the transitions between them. The only place that says what may follow what."""

from enum import StrEnum


class SeriesState(StrEnum):
    """Where a series stands on its path."""

    RECEIVING = "receiving"
    """Instances may still arrive."""
    QUEUED = "queued"
    """Complete by evidence, waiting for a worker."""
    SCREENING = "screening"
    """A worker holds the lease."""
    SCREENED = "screened"
    """SR and SC are durable, deliveries are due."""
    DELIVERED = "delivered"
    """Every destination has accepted every object."""
    REJECTED = "rejected"
    """Cannot be graded; the reason code says why."""
    FAILED = "failed"
    """Ended by errors; can be retried by an operator."""


ALLOWED: dict[SeriesState, frozenset[SeriesState]] = {
    # A late instance re-opens a finished series as its next revision: → receiving.
    SeriesState.RECEIVING: frozenset({SeriesState.QUEUED}),
    SeriesState.QUEUED: frozenset(
        {SeriesState.SCREENING, SeriesState.RECEIVING, SeriesState.FAILED}
    ),
    SeriesState.SCREENING: frozenset(
        {
            SeriesState.SCREENED,
            SeriesState.REJECTED,
            SeriesState.FAILED,
            SeriesState.QUEUED,  # lease expired or given back
            SeriesState.RECEIVING,
        }
    ),
    SeriesState.SCREENED: frozenset(
        {SeriesState.DELIVERED, SeriesState.RECEIVING, SeriesState.QUEUED}
    ),
    SeriesState.DELIVERED: frozenset(
        {
            SeriesState.RECEIVING,
            SeriesState.QUEUED,
            SeriesState.SCREENED,  # a destination does not keep what it had accepted
        }
    ),
    SeriesState.REJECTED: frozenset({SeriesState.RECEIVING, SeriesState.QUEUED}),
    SeriesState.FAILED: frozenset({SeriesState.RECEIVING, SeriesState.QUEUED}),
}


class RunOutcome(StrEnum):
    """How one run over a series ended; a run without an outcome is active."""

    SCREENED = "screened"
    """Results and objects are durable."""
    REJECTED = "rejected"
    """The series cannot be graded."""
    FAILED = "failed"
    """An error ended the run."""
    EXPIRED = "expired"
    """The lease ran out: the worker is gone, or hangs."""
    GIVEN_BACK = "given_back"
    """The worker was told to stop; the attempt does not count."""
    SUPERSEDED = "superseded"
    """The series changed while it was screened."""


class DeliveryState(StrEnum):
    """Where one object stands on its way to one destination."""

    DUE = "due"
    """Waiting for its next attempt."""
    SENT = "sent"
    """Accepted by the destination."""
    CONFIRMED = "confirmed"
    """Found at the destination by query or commitment."""
    REFUSED = "refused"
    """Permanently refused; an operator has to act."""


class IllegalTransition(RuntimeError):
    """A change of state that ``ALLOWED`` does not list."""

    def __init__(self, before: SeriesState, after: SeriesState) -> None:
        super().__init__(before, after)

    def __str__(self) -> str:
        before, after = self.args
        return f"a series cannot go from {before} to {after}"


def check_transition(before: SeriesState, after: SeriesState) -> None:
    """Raise IllegalTransition unless ``after`` may follow ``before``."""
    if after not in ALLOWED[before]:
        raise IllegalTransition(before, after)
