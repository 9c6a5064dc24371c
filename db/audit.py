"""Outbox of audit messages: written with what they report, sent later by a worker.

``note`` writes nothing unless the sessions were made with ``audit=True``.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from socket import gethostname
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.orm import Session

from db.models import AuditMessage, Series
from db.session import DatabaseError, Sessions

AUDIT = "audit"
"""Key of ``Session.info``."""
STUDIES_PER_MESSAGE = 20
"""Keeps a message below the 32,768 bytes that every repository takes (PS3.15 A.6)."""


@dataclass(frozen=True, slots=True)
class DueMessage:
    """A message that this process may send until its claim ends."""

    id: int
    at: datetime
    event: str
    detail: dict[str, Any]


def note(session: Session, event: str, *, at: datetime, **detail: Any) -> None:
    """Append a message; ``detail`` holds the fields of ``common.audit.message.Facts``."""
    if session.info.get(AUDIT):
        values = {"at": at, "event": event, "detail": detail, "next_attempt_at": at}
        session.execute(insert(AuditMessage).values(**values))


def note_series(
    session: Session, event: str, series_ids: Sequence[int], *, at: datetime, **detail: Any
) -> None:
    """Append a message for each study of these series, with its patient."""
    if not session.info.get(AUDIT) or not series_ids:
        return
    for study, patient in _patients(session, Series.id.in_(series_ids)):
        named = {"study_instance_uid": study, "patient_id": patient}
        note(session, event, at=at, **named, **detail)


def note_export(
    session: Session, study_uids: Collection[str], *, at: datetime, **detail: Any
) -> None:
    """Append the messages of an export, which name its studies and their patients.

    Each names at most ``STUDIES_PER_MESSAGE``. Without studies it is one message.
    """
    if not session.info.get(AUDIT):
        return
    named = _patients(session, Series.study_instance_uid.in_(study_uids)) if study_uids else []
    for start in range(0, max(len(named), 1), STUDIES_PER_MESSAGE):
        studies = dict(named[start : start + STUDIES_PER_MESSAGE])
        note(session, "export", at=at, studies=studies, **detail)


def note_activity(sessions: Sessions, event: str, service: str) -> None:
    """Append the start or stop of a service; an unavailable database does not stop it."""
    with suppress(DatabaseError), sessions.begin() as session:
        note(session, event, at=datetime.now(UTC), service=service, host=gethostname())


def claim_messages(
    session: Session, *, now: datetime, lease: timedelta, limit: int
) -> list[DueMessage]:
    """Take the oldest due messages for this process; they are due again after ``lease``."""
    due = (
        select(AuditMessage.id)
        .where(AuditMessage.sent_at.is_(None), AuditMessage.next_attempt_at <= now)
        .order_by(AuditMessage.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claimed = session.scalars(
        update(AuditMessage)
        .where(AuditMessage.id.in_(due.scalar_subquery()))
        .values(next_attempt_at=now + lease)
        .returning(AuditMessage)
    ).all()
    return [
        DueMessage(one.id, one.at, one.event, one.detail)
        for one in sorted(claimed, key=lambda one: one.id)
    ]


def mark_audit_sent(session: Session, messages: Sequence[DueMessage], *, now: datetime) -> None:
    """Record that the repository has read these messages."""
    session.execute(
        update(AuditMessage)
        .where(AuditMessage.id.in_([one.id for one in messages]))
        .values(sent_at=now)
    )


def postpone(session: Session, messages: Sequence[DueMessage], *, until: datetime) -> None:
    """End the claim: the messages are due again at ``until``."""
    session.execute(
        update(AuditMessage)
        .where(AuditMessage.id.in_([one.id for one in messages]))
        .values(next_attempt_at=until)
    )


def oldest_unsent(session: Session) -> datetime | None:
    """Return the time of the oldest message that is not sent, None if all are."""
    return session.scalar(
        select(func.min(AuditMessage.at)).where(AuditMessage.sent_at.is_(None))
    )


def _patients(session: Session, where: ColumnElement[bool]) -> list[tuple[str, str | None]]:
    """Return the Study Instance UIDs of series in their order, each with its patient ID."""
    found = session.execute(
        select(Series.study_instance_uid, func.max(Series.patient_id))
        .where(where)
        .group_by(Series.study_instance_uid)
        .order_by(Series.study_instance_uid)
    )
    return [(study, patient) for study, patient in found.all()]
