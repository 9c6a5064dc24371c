"""Reader feedback on results. Append-only: a correction is a newer row."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from db.models import Feedback, Series


@dataclass(frozen=True, slots=True)
class ReaderFeedback:
    """Feedback of a reader on a hip; ``corrected_grade`` only if they disagree."""

    screening_id: int
    side: str
    reader: str
    agrees: bool
    corrected_grade: str | None = None
    comment: str | None = None


class NamesPatient(ValueError):
    """The comment contains the Patient ID or the Accession Number."""


def add_feedback(
    session: Session, series: Series, feedback: ReaderFeedback, *, now: datetime
) -> None:
    """Append feedback; raise NamesPatient if the comment identifies the patient."""
    comment = (feedback.comment or "").casefold()
    identifiers = (series.patient_id, series.accession_number)
    if any(identifier.casefold() in comment for identifier in identifiers if identifier):
        raise NamesPatient
    session.execute(insert(Feedback).values(at=now, **asdict(feedback)))


def feedback_on(session: Session, screening_ids: Sequence[int]) -> Sequence[Feedback]:
    """Return the newest feedback of each reader on each hip, oldest first."""
    newest = (
        select(func.max(Feedback.id))
        .where(Feedback.screening_id.in_(screening_ids))
        .group_by(Feedback.screening_id, Feedback.side, Feedback.reader)
    )
    return session.scalars(
        select(Feedback).where(Feedback.id.in_(newest)).order_by(Feedback.id)
    ).all()
