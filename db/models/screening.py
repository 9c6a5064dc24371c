"""Tables of screenings and their results per hip."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, column_property, mapped_column

from db.models.base import CORRELATION_ID, GRADE_VALUES, SHA256, Base, by_value
from db.states import RunOutcome, WithdrawalReason


class Screening(Base):
    """A run over a series or a study; active until ``finished_at`` is set.

    A run over a study has a ``study_id``; its series is the best one that was used, and any
    series of the study before the run ends.
    """

    __tablename__ = "screening"
    __table_args__ = (
        Index(
            "uq_screening_active",
            "series_id",
            "revision",
            unique=True,
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index(
            "uq_screening_active_study",
            "study_id",
            unique=True,
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index(
            "ix_screening_lease_until",
            "lease_until",
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index("ix_screening_series_id", "series_id"),
        Index("ix_screening_study_id", "study_id"),
        CheckConstraint("(outcome IS NULL) = (finished_at IS NULL)", name="finished"),
        CheckConstraint(f"grade IN {GRADE_VALUES}", name="grade"),
        Index(
            "ix_screening_withdrawn_at",
            "withdrawn_at",
            postgresql_where=text("withdrawn_at IS NOT NULL"),
        ),
        Index(
            "ix_screening_replaced_by",
            "replaced_by",
            postgresql_where=text("replaced_by IS NOT NULL"),
        ),
        CheckConstraint(
            "(withdrawn_at IS NULL) = (withdrawal_reason IS NULL)", name="withdrawn"
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"))
    revision: Mapped[int]
    attempt: Mapped[int]
    correlation_id: Mapped[str | None] = mapped_column(CORRELATION_ID)
    """Correlation ID of the series at this revision; a later revision has a new one."""
    leased_by: Mapped[str]
    lease_until: Mapped[datetime]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[RunOutcome | None] = mapped_column(by_value(RunOutcome, "outcome"))
    reason_code: Mapped[str | None] = mapped_column(String(32))
    reason_text: Mapped[str | None]
    error: Mapped[str | None]

    orientation: Mapped[str | None] = mapped_column(String(16))
    grade: Mapped[str | None] = mapped_column(String(16))
    model_name: Mapped[str | None]
    model_version: Mapped[str | None]
    model_modality: Mapped[str | None]
    model_training_data: Mapped[str | None]
    model_sha256: Mapped[str | None] = mapped_column(SHA256)
    warnings: Mapped[list[str] | None]
    timings_ms: Mapped[dict[str, float] | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB())
    """The entry of ``result.json`` as written."""
    model_simulated: Mapped[bool | None] = column_property(
        result["model"]["simulated"].as_boolean()
    )
    """Whether the model was trained on simulated CT; None where it was not recorded."""
    not_delivered_code: Mapped[str | None] = mapped_column(String(32))
    """Set while the screening policy keeps the result from being delivered."""
    not_delivered_text: Mapped[str | None]
    folder: Mapped[str | None]
    """Folder of the files of a study, relative to the spool; None for those of a series."""

    withdrawn_at: Mapped[datetime | None]
    """The result no longer stands; a rejection note goes to each destination that holds it."""
    withdrawn_by: Mapped[str | None]
    withdrawal_reason: Mapped[WithdrawalReason | None] = mapped_column(
        by_value(WithdrawalReason, "withdrawal_reason")
    )
    replaced_by: Mapped[int | None] = mapped_column(ForeignKey("screening.id"))
    """The run whose result replaces this one."""


class HipResult(Base):
    """The result of one hip in a screening; centers are patient LPS, mm."""

    __tablename__ = "hip"
    __table_args__ = (
        CheckConstraint("side IN ('R', 'L')", name="side"),
        CheckConstraint("state IN ('graded', 'not_assessable')", name="state"),
        CheckConstraint(f"grade IN {GRADE_VALUES}", name="grade"),
        CheckConstraint("(state = 'graded') = (grade IS NOT NULL)", name="graded"),
    )

    screening_id: Mapped[int] = mapped_column(ForeignKey("screening.id"), primary_key=True)
    side: Mapped[str] = mapped_column(String(1), primary_key=True)
    series_id: Mapped[int | None] = mapped_column(ForeignKey("series.id"))
    """The series that the hip is taken from; None means the series of the screening."""
    state: Mapped[str] = mapped_column(String(16))
    reason_code: Mapped[str | None] = mapped_column(String(32))
    reason_text: Mapped[str | None]
    grade: Mapped[str | None] = mapped_column(String(16))
    probability_normal: Mapped[float | None]
    probability_osteopenia: Mapped[float | None]
    probability_osteoporosis: Mapped[float | None]
    neck_hu: Mapped[float | None]
    neck_sd_hu: Mapped[float | None]
    center_x_mm: Mapped[float | None]
    center_y_mm: Mapped[float | None]
    center_z_mm: Mapped[float | None]
