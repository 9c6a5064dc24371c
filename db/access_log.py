"""Access log of the review page, written before results are shown."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from socket import gethostname
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from db.audit import note, note_export, note_series
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
    values = {"what": what, "series_id": series_id, "detail": dict(detail or {})}
    _append(session, actor, now, **values)
    named = _named(actor)
    if what in AUTHENTICATION:
        note(session, AUTHENTICATION[what], at=now, **named)
    shown = [series_id] if series_id is not None else list((detail or {}).get("series", ()))
    note_series(session, "read", shown, at=now, **named)


def record_export(
    session: Session,
    actor: AuditActor,
    file: str,
    study_uids: Collection[str],
    *,
    now: datetime,
) -> None:
    """Append an export of a file; ``study_uids`` : studies that the file identifies.

    The entry has their number. Their UIDs and patients are in the audit messages alone.
    """
    detail = {"file": file, "studies": len(study_uids)}
    _append(session, actor, now, what="export", series_id=None, detail=detail)
    note_export(session, study_uids, at=now, file=file, **_named(actor))


def note_query(session: Session, actor: AuditActor, query: str, *, now: datetime) -> None:
    """Report what a user searched for to the audit record repository, and nowhere else."""
    note(session, "query", at=now, query=query, **_named(actor))


def _append(session: Session, actor: AuditActor, now: datetime, **values: Any) -> None:
    who = {"who": actor.who, "role": actor.role, "address": actor.address}
    session.execute(insert(Access).values(at=now, **who, **values))


def _named(actor: AuditActor) -> dict[str, str | None]:
    """Return the facts of an audit message about service and user."""
    return {
        "service": "review",
        "host": gethostname(),
        "user": actor.who or "anonymous",
        "address": actor.address or None,
    }
