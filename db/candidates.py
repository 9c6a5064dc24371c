"""Candidate models: their predictions beside the live model, promotion and roll-back."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import HipResult, ModelRelease, ShadowHipResult


@dataclass(frozen=True, slots=True)
class CandidateModel:
    """Identity of a model package."""

    model_name: str
    model_version: str
    model_sha256: str


@dataclass(frozen=True, slots=True)
class CandidatePrediction:
    """Prediction of a candidate model for a hip; ``grade`` is None if it rejected the crop."""

    side: str
    grade: str | None
    reason_code: str | None
    probability_normal: float
    probability_osteopenia: float
    probability_osteoporosis: float


def save_predictions(
    session: Session,
    screening_id: int,
    candidate: CandidateModel,
    predictions: Sequence[CandidatePrediction],
    *,
    now: datetime,
) -> None:
    """Record the predictions of a candidate model for the hips of a screening."""
    session.add_all(
        ShadowHipResult(
            screening_id=screening_id, at=now, **asdict(candidate), **asdict(prediction)
        )
        for prediction in predictions
    )


def predictions_beside(
    session: Session, model_sha256: str | None = None
) -> Sequence[tuple[ShadowHipResult, HipResult]]:
    """Return each prediction of a candidate model with the result of the live model.

    Without ``model_sha256``, the candidate of the newest prediction is meant.
    """
    if model_sha256 is None:
        newest = (
            select(ShadowHipResult.model_sha256).order_by(ShadowHipResult.at.desc()).limit(1)
        )
        model_sha256 = session.scalar(newest)
    same_hip = (HipResult.screening_id == ShadowHipResult.screening_id) & (
        HipResult.side == ShadowHipResult.side
    )
    rows = session.execute(
        select(ShadowHipResult, HipResult)
        .join(HipResult, same_hip)
        .where(ShadowHipResult.model_sha256 == model_sha256)
        .order_by(ShadowHipResult.screening_id, ShadowHipResult.side)
    )
    return [(prediction, hip) for prediction, hip in rows]


def live_release(session: Session) -> ModelRelease | None:
    """Return the newest release; None if the model of ``MODEL_DIR`` was never replaced."""
    return session.scalar(select(ModelRelease).order_by(ModelRelease.id.desc()).limit(1))


def promote(
    session: Session, folder: str, candidate: CandidateModel, *, actor: str, now: datetime
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
    """Restore the previous live model and return the release; None if there is none."""
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
