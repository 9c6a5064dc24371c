"""What readers say about results: written once, corrected by saying it anew."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from db.models import Series
from db.review_models import Feedback


@dataclass(frozen=True, slots=True)
class Opinion:
    """Of one reader on one hip; ``corrected_grade`` only where he disagrees."""

    screening_id: int
    side: str
    reader: str
    agrees: bool
    corrected_grade: str | None = None
    comment: str | None = None


class NamesPatient(ValueError):
    """The comment holds the patient's ID or the accession number."""


def add_feedback(session: Session, series: Series, opinion: Opinion, *, now: datetime) -> None:
    """Append an opinion; raises NamesPatient. What ``series`` is identified by stays out."""
    comment = (opinion.comment or "").casefold()
    known = (series.patient_id, series.accession_number)
    if any(one.casefold() in comment for one in known if one):
        raise NamesPatient
    session.execute(insert(Feedback).values(at=now, **asdict(opinion)))


def feedback_on(session: Session, screening_ids: Sequence[int]) -> Sequence[Feedback]:
    """The newest word of each reader on each hip, oldest first."""
    newest = (
        select(Feedback.id)
        .where(Feedback.screening_id.in_(screening_ids))
        .distinct(Feedback.screening_id, Feedback.side, Feedback.reader)
        .order_by(Feedback.screening_id, Feedback.side, Feedback.reader, Feedback.id.desc())
    )
    return session.scalars(
        select(Feedback).where(Feedback.id.in_(newest)).order_by(Feedback.id)
    ).all()
