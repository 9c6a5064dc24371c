"""Who looked at which patient's results: written before anything is shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from db.review_models import Access


@dataclass(frozen=True, slots=True)
class Looker:
    """Who looks, with which rights, from which address."""

    who: str
    role: str
    address: str


def record_access(
    session: Session,
    looker: Looker,
    what: str,
    *,
    now: datetime,
    series_id: int | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append one line; ``detail`` holds ids, never what identifies a patient."""
    session.execute(
        insert(Access).values(
            at=now,
            who=looker.who,
            role=looker.role,
            address=looker.address,
            what=what,
            series_id=series_id,
            detail=dict(detail or {}),
        )
    )
