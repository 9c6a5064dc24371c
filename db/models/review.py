"""Tables of the review page: access log, reader feedback and DXA results.

All three are append-only, like ``event``; a correction is a newer row.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import GRADE_VALUES, Base

APPEND_ONLY = ("access", "feedback", "dxa_result")


class Access(Base):
    """An entry of the access log: user, page and address."""

    __tablename__ = "access"
    __table_args__ = (Index("ix_access_series_id", "series_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime]
    who: Mapped[str]
    role: Mapped[str] = mapped_column(String(16))
    address: Mapped[str]
    """Address of the browser, as reported by a trusted proxy."""
    what: Mapped[str] = mapped_column(String(32))
    series_id: Mapped[int | None] = mapped_column(ForeignKey("series.id"))
    detail: Mapped[dict[str, Any]]
    """Technical values such as the IDs of listed series; never patient data."""


class Feedback(Base):
    """Feedback of a reader on the result of a hip; their newest row counts."""

    __tablename__ = "feedback"
    __table_args__ = (
        Index("ix_feedback_screening_id", "screening_id", "id"),
        CheckConstraint("side IN ('R', 'L')", name="side"),
        CheckConstraint(f"corrected_grade IN {GRADE_VALUES}", name="corrected_grade"),
        CheckConstraint("NOT (agrees AND corrected_grade IS NOT NULL)", name="correction"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime]
    screening_id: Mapped[int] = mapped_column(ForeignKey("screening.id"))
    side: Mapped[str] = mapped_column(String(1))
    reader: Mapped[str]
    agrees: Mapped[bool]
    corrected_grade: Mapped[str | None] = mapped_column(String(16))
    comment: Mapped[str | None]


class DxaResult(Base):
    """A DXA T-score of a patient; the newest row per patient, side and date counts.

    ``side`` : None if the T-score is of the patient, not of one hip. PHI; never logged.
    """

    __tablename__ = "dxa_result"
    __table_args__ = (
        Index("ix_dxa_result_patient", "patient_id", "issuer_of_patient_id", "dxa_date"),
        CheckConstraint("side IN ('R', 'L')", name="side"),
        CheckConstraint("t_score BETWEEN -8 AND 8", name="t_score"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime]
    entered_by: Mapped[str]
    patient_id: Mapped[str]
    issuer_of_patient_id: Mapped[str | None]
    dxa_date: Mapped[date]
    side: Mapped[str | None] = mapped_column(String(1))
    t_score: Mapped[float]
