"""Access log of the review page, written before results are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from db.models import Access


@dataclass(frozen=True, slots=True)
class AuditActor:
    """User, role and address of an access."""

    who: str
    role: str
    address: str


def record_access(
    session: Session,
    actor: AuditActor,
    what: str,
    *,
    now: datetime,
    series_id: int | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append an entry; ``detail`` holds technical IDs, never patient data."""
    session.execute(
        insert(Access).values(
            at=now,
            who=actor.who,
            role=actor.role,
            address=actor.address,
            what=what,
            series_id=series_id,
            detail=dict(detail or {}),
        )
    )
