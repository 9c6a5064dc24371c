"""Rows for files that leave the page."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy.orm import Session

from db.feedback import feedback_on
from db.review_models import Feedback
from db.worklist import Filters, Listed, Position, list_series

CHUNK = 500


def all_series(session: Session) -> Iterator[tuple[Listed, Mapping[str, Sequence[Feedback]]]]:
    """Every series with its newest result and its feedback by side, a chunk at a time."""
    position: Position | None = None
    while chunk := list_series(session, Filters(), limit=CHUNK, after=position):
        ids = [one.screening.id for one in chunk if one.screening is not None]
        said: dict[int, dict[str, list[Feedback]]] = {}
        for one in feedback_on(session, ids):
            said.setdefault(one.screening_id, {}).setdefault(one.side, []).append(one)
        for listed in chunk:
            run = listed.screening
            yield listed, said.get(run.id, {}) if run is not None else {}
        last = chunk[-1].series
        position = Position(last.created_at, last.id)
        session.expunge_all()
