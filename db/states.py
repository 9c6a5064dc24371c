"""States of studies, series, runs, deliveries and withdrawals, and allowed transitions."""

from enum import StrEnum


class SeriesState(StrEnum):
    """State of a series."""

    RECEIVING = "receiving"
    """Instances may still arrive."""
    QUEUED = "queued"
    """Complete, waiting for a worker."""
    SCREENING = "screening"
    """A worker holds a lease."""
    SCREENED = "screened"
    """SR and SC are durable, deliveries are due."""
    DELIVERED = "delivered"
    """Every destination has accepted every object."""
    REJECTED = "rejected"
    """Cannot be graded; the reason code states why."""
    FAILED = "failed"
    """Ended by errors; an operator can retry it."""
    NOT_SELECTED = "not_selected"
    """Not used for the result of its study; the reason states which one was preferred."""


class StudyState(StrEnum):
    """State of a study that has one result; a study with a result a series has none."""

    COLLECTING = "collecting"
    """Instances or series may still arrive."""
    SCREENING = "screening"
    """Complete: due while ``next_attempt_at`` is set, otherwise a worker holds a lease."""
    REPORTED = "reported"
    """SR and SC are durable, deliveries are due."""
    DELIVERED = "delivered"
    """Every destination has accepted every object."""
    NOTHING_TO_REPORT = "nothing_to_report"
    """No series can be graded; the reason code states why."""
    FAILED = "failed"
    """Ended by errors; an operator can retry it."""


class ResultPer(StrEnum):
    """Unit of a result, fixed when the first instance of a study arrives."""

    STUDY = "study"
    SERIES = "series"


WITH_RESULT = frozenset({SeriesState.SCREENED, SeriesState.DELIVERED, SeriesState.REJECTED})
"""The series has a grade or a reason for its rejection."""
FINISHED = WITH_RESULT | {SeriesState.FAILED, SeriesState.NOT_SELECTED}
"""No run is pending or active; the pixels are no longer needed."""
FINAL = frozenset(
    {
        SeriesState.DELIVERED,
        SeriesState.REJECTED,
        SeriesState.FAILED,
        SeriesState.NOT_SELECTED,
    }
)
"""No work is left unless new instances arrive or an operator acts."""
STUDY_REPORTED = frozenset({StudyState.REPORTED, StudyState.DELIVERED})
"""The study has a current result."""
STUDY_FINISHED = STUDY_REPORTED | {StudyState.NOTHING_TO_REPORT, StudyState.FAILED}
"""No run is pending or active."""
REOPENED = frozenset({SeriesState.RECEIVING, SeriesState.QUEUED, SeriesState.SCREENING})

ALLOWED: dict[SeriesState, frozenset[SeriesState]] = {
    # A late instance reopens a finished series as its next revision: → receiving.
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
            SeriesState.NOT_SELECTED,
        }
    ),
    # A run over a study takes a finished series again: → screening.
    SeriesState.SCREENED: frozenset(
        {
            SeriesState.DELIVERED,
            SeriesState.RECEIVING,
            SeriesState.QUEUED,
            SeriesState.SCREENING,
        }
    ),
    SeriesState.DELIVERED: frozenset(
        {
            SeriesState.RECEIVING,
            SeriesState.QUEUED,
            SeriesState.SCREENED,  # a destination did not commit an accepted object
            SeriesState.SCREENING,
        }
    ),
    SeriesState.REJECTED: REOPENED,
    SeriesState.FAILED: REOPENED,
    SeriesState.NOT_SELECTED: REOPENED,
}

ALLOWED_STUDY: dict[StudyState, frozenset[StudyState]] = {
    # A new or changed series reopens a finished study: → collecting.
    StudyState.COLLECTING: frozenset({StudyState.SCREENING}),
    StudyState.SCREENING: frozenset(
        {
            StudyState.COLLECTING,  # a series changed before or during the run
            StudyState.REPORTED,
            StudyState.NOTHING_TO_REPORT,
            StudyState.FAILED,
        }
    ),
    StudyState.REPORTED: frozenset(
        {StudyState.DELIVERED, StudyState.COLLECTING, StudyState.SCREENING}
    ),
    StudyState.DELIVERED: frozenset(
        {
            StudyState.COLLECTING,
            StudyState.SCREENING,
            StudyState.REPORTED,  # a destination did not commit an accepted object
        }
    ),
    StudyState.NOTHING_TO_REPORT: frozenset({StudyState.COLLECTING, StudyState.SCREENING}),
    StudyState.FAILED: frozenset({StudyState.COLLECTING, StudyState.SCREENING}),
}


class RunOutcome(StrEnum):
    """Outcome of a run over a series; a run without an outcome is active."""

    SCREENED = "screened"
    """Results and objects are durable."""
    REJECTED = "rejected"
    """The series cannot be graded."""
    FAILED = "failed"
    """An error ended the run."""
    EXPIRED = "expired"
    """The lease expired: the worker died or hangs."""
    GIVEN_BACK = "given_back"
    """The worker was stopped; the attempt does not count."""
    SUPERSEDED = "superseded"
    """The series, or the used part of the ranking of the study, changed during the run."""
    UNCHANGED = "unchanged"
    """A late series does not change the result of the study, which stands."""


class DeliveryState(StrEnum):
    """State of the delivery of an object to a destination."""

    DUE = "due"
    """Waiting for its next attempt."""
    SENT = "sent"
    """Accepted by the destination."""
    CONFIRMED = "confirmed"
    """Presence confirmed by query or Storage Commitment."""
    REFUSED = "refused"
    """Permanently refused; an operator has to act."""
    WAITING = "waiting"
    """A rejection note that is due when the destination has the new objects."""
    WITHDRAWN = "withdrawn"
    """Not sent: the result was withdrawn before."""


class WithdrawalReason(StrEnum):
    """Why a result was withdrawn."""

    REPLACED = "replaced"
    """A later run over changed or better images replaces it."""
    WRONG_PATIENT = "wrong_patient"
    """Its images now belong to another patient, or to several."""
    OPERATOR = "operator"
    """An operator withdrew the result."""
    MODEL = "model"
    """An operator recalled the version of the model."""


class HeldState(StrEnum):
    """State of changed content from another sender."""

    HELD = "held"
    """Waits for the decision of an operator."""
    ACCEPTED = "accepted"
    """Replaces the instance of the first sender."""
    REFUSED = "refused"
    """Deleted; the instance of the first sender stays."""


ACCEPTED = (DeliveryState.SENT, DeliveryState.CONFIRMED)
OWED = (DeliveryState.DUE, DeliveryState.REFUSED)
UNFINISHED = (*OWED, DeliveryState.WAITING)
SUPERSEDED_BY = (WithdrawalReason.REPLACED, WithdrawalReason.WRONG_PATIENT)
"""Reasons by which a run supersedes an earlier result, without an operator."""


class IllegalTransition(RuntimeError):
    """The transition is not in ``ALLOWED`` or ``ALLOWED_STUDY``."""

    def __init__(self, before: StrEnum | None, after: StrEnum) -> None:
        super().__init__(before, after)

    def __str__(self) -> str:
        before, after = self.args
        what = "study" if isinstance(before, StudyState) else "series"
        return f"a {what} cannot go from {before} to {after}"


def check_transition(before: SeriesState | None, after: SeriesState) -> None:
    """Raise IllegalTransition unless ``after`` may follow ``before``."""
    if before is None or after not in ALLOWED[before]:
        raise IllegalTransition(before, after)


def check_study_transition(before: StudyState | None, after: StudyState) -> None:
    """Raise IllegalTransition unless ``after`` may follow ``before``."""
    if before is None or after not in ALLOWED_STUDY[before]:
        raise IllegalTransition(before, after)
