"""Models on trial and models in use: what a candidate said, and which model is live.

Both tables only grow: who promoted what, and what a candidate said of a hip, stays.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    String,
    select,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import GRADE_VALUES, SHA256, Base
from db.models import Hip


class ShadowHip(Base):
    """What a candidate model said of a hip that the live model was asked about."""

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
    """A change of the live model; the newest row says which it is."""

    __tablename__ = "model_release"
    __table_args__ = (CheckConstraint("action IN ('promote', 'rollback')", name="action"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str] = mapped_column(String(16))
    folder: Mapped[str | None]
    """Relative to the spool; None is the model of ``MODEL_DIR``."""
    model_name: Mapped[str | None]
    model_version: Mapped[str | None]
    model_sha256: Mapped[str | None] = mapped_column(SHA256)
    previous_id: Mapped[int | None] = mapped_column(ForeignKey("model_release.id"))
    """What a rollback of this one goes back to; None is the model of ``MODEL_DIR``."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Identity of a model package."""

    model_name: str
    model_version: str
    model_sha256: str


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a candidate said of one hip; ``grade`` is None where it refused the crop."""

    side: str
    grade: str | None
    reason_code: str | None
    probability_normal: float
    probability_osteopenia: float
    probability_osteoporosis: float


def save_opinions(
    session: Session,
    screening_id: int,
    candidate: Candidate,
    opinions: Sequence[Opinion],
    *,
    now: datetime,
) -> None:
    """Record what a candidate said of the hips of a screening."""
    session.add_all(
        ShadowHip(screening_id=screening_id, at=now, **asdict(candidate), **asdict(opinion))
        for opinion in opinions
    )


def opinions_beside(
    session: Session, model_sha256: str | None = None
) -> Sequence[tuple[ShadowHip, Hip]]:
    """Each opinion of a candidate beside the live result; of the newest without a digest."""
    if model_sha256 is None:
        newest = select(ShadowHip.model_sha256).order_by(ShadowHip.at.desc()).limit(1)
        model_sha256 = session.scalar(newest)
    same_hip = (Hip.screening_id == ShadowHip.screening_id) & (Hip.side == ShadowHip.side)
    rows = session.execute(
        select(ShadowHip, Hip)
        .join(Hip, same_hip)
        .where(ShadowHip.model_sha256 == model_sha256)
        .order_by(ShadowHip.screening_id, ShadowHip.side)
    )
    return [(opinion, hip) for opinion, hip in rows]


def live_release(session: Session) -> ModelRelease | None:
    """The newest release; None where the model of ``MODEL_DIR`` has never been replaced."""
    return session.scalar(select(ModelRelease).order_by(ModelRelease.id.desc()).limit(1))


def promote(
    session: Session, folder: str, candidate: Candidate, *, actor: str, now: datetime
) -> None:
    """Make the package in ``folder`` the live model."""
    live = live_release(session)
    session.add(
        ModelRelease(
            at=now,
            actor=actor,
            action="promote",
            folder=folder,
            previous_id=live.id if live else None,
            **asdict(candidate),
        )
    )


def roll_back(session: Session, *, actor: str, now: datetime) -> ModelRelease | None:
    """Make the model live that was before; None where there was none before."""
    live = live_release(session)
    if live is None or live.folder is None:
        return None
    before = session.get(ModelRelease, live.previous_id) if live.previous_id else None
    release = ModelRelease(
        at=now,
        actor=actor,
        action="rollback",
        folder=before.folder if before else None,
        model_name=before.model_name if before else None,
        model_version=before.model_version if before else None,
        model_sha256=before.model_sha256 if before else None,
        previous_id=before.previous_id if before else None,
    )
    session.add(release)
    return release
