"""An operator's second chance: screen again what ended, send again what was refused."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db.models import Delivery, Screening, Series
from db.overview import series_by_uid
from db.states import DeliveryState, RunOutcome, SeriesState
from db.transition import By, append_event, move_series

SCREEN_AGAIN = (SeriesState.FAILED, SeriesState.REJECTED)


@dataclass(frozen=True, slots=True)
class Retried:
    """``screening``: the series was queued again. ``deliveries``: so many are due again."""

    series_id: int
    screening: bool
    deliveries: int


def retry_series(
    session: Session, series_instance_uid: str, *, actor: str, now: datetime
) -> Retried | None:
    """Queue a failed or rejected series; make what waits or was refused due now.

    Attempts start from 0. None where the UID is unknown; nothing to do is not an error.
    """
    series = series_by_uid(session, series_instance_uid)
    return None if series is None else retry_one(session, series, actor=actor, now=now)


def retry_one(session: Session, series: Series, *, actor: str, now: datetime) -> Retried:
    """``retry_series`` for a row: two studies may claim the same Series Instance UID."""
    by = By(actor, now)
    moved = None
    if series.state in SCREEN_AGAIN:
        moved = move_series(
            session,
            series.id,
            series.state,
            SeriesState.QUEUED,
            by,
            values={
                "attempts": 0,
                "next_attempt_at": now,
                "reason_code": None,
                "reason_text": None,
                "error": None,
            },
            detail={"retry": True},
        )
    elif series.state is SeriesState.QUEUED:
        series.next_attempt_at = now
    runs = select(Screening.id).where(Screening.series_id == series.id)
    due = session.scalars(
        update(Delivery)
        .where(
            Delivery.screening_id.in_(runs),
            Delivery.state.in_((DeliveryState.REFUSED, DeliveryState.DUE)),
            Delivery.lease_until.is_(None),
        )
        .values(state=DeliveryState.DUE, attempts=0, next_attempt_at=now)
        .returning(Delivery.id)
    ).all()
    if due:
        append_event(session, series, by, "deliveries_retried", detail={"count": len(due)})
    return Retried(series.id, screening=moved is not None, deliveries=len(due))


def redeliver(session: Session, series: Series, *, actor: str, now: datetime) -> int:
    """Send the objects of the newest result once more, also where they were accepted.

    For a PACS that lost them. Returns how many deliveries are due; those that a worker is
    sending now are left alone.
    """
    newest = (
        select(func.max(Screening.id))
        .where(Screening.series_id == series.id, Screening.outcome == RunOutcome.SCREENED)
        .scalar_subquery()
    )
    due = session.scalars(
        update(Delivery)
        .where(Delivery.screening_id == newest, Delivery.lease_until.is_(None))
        .values(
            state=DeliveryState.DUE,
            attempts=0,
            next_attempt_at=now,
            sent_at=None,
            confirmed_at=None,
            confirmed_by=None,
            transaction_uid=None,
            last_status=None,
            error=None,
        )
        .returning(Delivery.id)
    ).all()
    if not due:
        return 0
    by = By(actor, now)
    if series.state is SeriesState.DELIVERED:
        move_series(session, series.id, series.state, SeriesState.SCREENED, by)
    append_event(session, series, by, "deliveries_retried", detail={"count": len(due)})
    return len(due)
