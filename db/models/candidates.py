"""Tables of candidate models: predictions beside the live model, and releases."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import GRADE_VALUES, SHA256, Base


class ShadowHipResult(Base):
    """The prediction of a candidate model for a hip that the live model classified."""

    __tablename__ = "shadow_hip"
    __table_args__ = (
        Index("ix_shadow_hip_model_sha256", "model_sha256"),
        Index("ix_shadow_hip_at", "at"),
        CheckConstraint("side IN ('R', 'L')", name="side"),
        CheckConstraint(f"grade IN {GRADE_VALUES}", name="grade"),
    )

    screening_id: Mapped[int] = mapped_column(ForeignKey("screening.id"), primary_key=True)
    side: Mapped[str] = mapped_column(String(1), primary_key=True)
    model_sha256: Mapped[str] = mapped_column(SHA256, primary_key=True)
    model_name: Mapped[str]
    model_version: Mapped[str]
    at: Mapped[datetime]
    grade: Mapped[str | None] = mapped_column(String(16))
    reason_code: Mapped[str | None] = mapped_column(String(32))
    probability_normal: Mapped[float]
    probability_osteopenia: Mapped[float]
    probability_osteoporosis: Mapped[float]


class ModelRelease(Base):
    """A change of the live model; the newest row names the live model. Append-only."""

    __tablename__ = "model_release"
    __table_args__ = (CheckConstraint("action IN ('promote', 'rollback')", name="action"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str] = mapped_column(String(16))
    folder: Mapped[str | None]
    """Relative to the spool; None means the model of ``MODEL_DIR``."""
    model_name: Mapped[str | None]
    model_version: Mapped[str | None]
    model_sha256: Mapped[str | None] = mapped_column(SHA256)
    previous_id: Mapped[int | None] = mapped_column(ForeignKey("model_release.id"))
    """Release that a rollback restores; None means the model of ``MODEL_DIR``."""
