"""Tables of studies and their events."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import CORRELATION_ID, UID, Base, by_value
from db.states import ResultPer, StudyState

STATE_LENGTH = 24


class Study(Base):
    """A study: the unit of a result, or the group of its series with a result each."""

    __tablename__ = "study"
    __table_args__ = (
        Index(
            "ix_study_collecting",
            "last_received_at",
            postgresql_where=text("state = 'collecting'"),
        ),
        Index(
            "ix_study_due",
            "next_attempt_at",
            "id",
            postgresql_where=text("state = 'screening'"),
        ),
        Index("ix_study_state", "state", "changed_at"),
        CheckConstraint("attempts >= 0", name="attempts"),
        CheckConstraint("revision >= 0", name="revision"),
        CheckConstraint("(result_per = 'series') = (state IS NULL)", name="result_per_state"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(UID, unique=True)
    result_per: Mapped[ResultPer] = mapped_column(by_value(ResultPer, "result_per"))
    state: Mapped[StudyState | None] = mapped_column(
        by_value(StudyState, "state", length=STATE_LENGTH)
    )
    """None where each series has a result and a state of its own."""
    revision: Mapped[int] = mapped_column(default=0)
    """Number of times the study has been complete."""
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    """Set while the study is due; None while a worker holds its lease."""
    reason_code: Mapped[str | None] = mapped_column(String(32))
    reason_text: Mapped[str | None]
    error: Mapped[str | None]
    completed_at: Mapped[datetime | None]
    last_received_at: Mapped[datetime | None]
    """Arrival of the newest registered instance."""
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    correlation_id: Mapped[str | None] = mapped_column(CORRELATION_ID)
    """Correlation ID of the series that opened or reopened the study."""


class StudyEvent(Base):
    """An action on a study, with actor and time. Append-only, enforced by a trigger."""

    __tablename__ = "study_event"
    __table_args__ = (Index("ix_study_event_study_id", "study_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime]
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    revision: Mapped[int]
    actor: Mapped[str]
    what: Mapped[str]
    before: Mapped[StudyState | None] = mapped_column(
        by_value(StudyState, "before", length=STATE_LENGTH)
    )
    after: Mapped[StudyState | None] = mapped_column(
        by_value(StudyState, "after", length=STATE_LENGTH)
    )
    detail: Mapped[dict[str, Any]]
