"""Access log of the review page, written before results are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from socket import gethostname
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from db.audit import note, note_series
from db.models import Access

AUTHENTICATION = {
    "login": "login",
    "login_refused": "login_refused",
    "logout": "logout",
    "session_idle": "logout",
    "session_ended": "logout",
}
"""Audited event by entry of the access log."""


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
    named = {"service": "review", "host": gethostname(), "address": actor.address or None}
    user = actor.who or "anonymous"
    if what in AUTHENTICATION:
        note(session, AUTHENTICATION[what], at=now, user=user, **named)
    if what == "export":
        note(session, "export", at=now, user=user, file=(detail or {}).get("file"), **named)
    shown = [series_id] if series_id is not None else list((detail or {}).get("series", ()))
    note_series(session, "read", shown, at=now, user=user, **named)


def note_query(session: Session, actor: AuditActor, query: str, *, now: datetime) -> None:
    """Report what a user searched for to the audit record repository, and nowhere else."""
    note(
        session,
        "query",
        at=now,
        service="review",
        host=gethostname(),
        user=actor.who or "anonymous",
        address=actor.address or None,
        query=query,
    )
