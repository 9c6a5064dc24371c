"""What destinations report of Storage Commitment, on the record of deliveries."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Delivery, ResultObject, Screening, Series
from db.overview import latest_screening
from db.states import DeliveryState, SeriesState
from db.transition import By, append_event, move_series

ACCEPTED = (DeliveryState.SENT, DeliveryState.CONFIRMED)
NOT_COMMITTED = "not committed"  # written where a status is


@dataclass(frozen=True, slots=True)
class NotCommitted:
    """Why an accepted object is not kept. ``retry_at`` : None where it never will be."""

    text: str
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """How many deliveries a report is about, and the correlation ID of their series."""

    deliveries: int
    correlation_id: str | None = None


class TooEarly(RuntimeError):
    """The worker that sent the objects has not recorded yet what came of them."""


def record_report(
    session: Session,
    transaction_uid: str,
    committed: Collection[str],
    failed: Mapping[str, NotCommitted],
    *,
    now: datetime,
    actor: str,
) -> Reported:
    """Confirm the objects that a destination has committed itself to; the others are due again
    or refused.

    ``committed`` : SOP Instance UIDs; ``failed`` : why not, by SOP Instance UID. Returns what
    is on record of this transaction; deliveries that are sent anew meanwhile stay as they are.
    Raises TooEarly.
    """
    rows = session.execute(
        select(
            Delivery,
            ResultObject.sop_instance_uid,
            ResultObject.role,
            Screening.correlation_id,
        )
        .join(ResultObject, ResultObject.id == Delivery.object_id)
        .join(Screening, Screening.id == ResultObject.screening_id)
        .where(Delivery.transaction_uid == transaction_uid)
        .order_by(Delivery.id)
        .with_for_update(of=Delivery)
    ).all()
    by = By(actor, now)
    for delivery, sop_instance_uid, role, _ in rows:
        if delivery.state is DeliveryState.DUE and delivery.lease_until is not None:
            raise TooEarly
        if delivery.state not in ACCEPTED:
            continue
        if sop_instance_uid in committed:
            delivery.state = DeliveryState.CONFIRMED
            delivery.confirmed_at, delivery.confirmed_by = now, "commitment"
        elif sop_instance_uid in failed:
            _take_back(delivery, failed[sop_instance_uid])
        else:
            continue
        session.flush()
        _note(session, delivery, role, by)
    # One association sends the objects of one screening.
    return Reported(len(rows), rows[0].correlation_id if rows else None)


def _take_back(delivery: Delivery, problem: NotCommitted) -> None:
    delivery.last_status, delivery.error = NOT_COMMITTED, problem.text
    delivery.confirmed_at = delivery.confirmed_by = None
    if problem.retry_at is None:
        delivery.state = DeliveryState.REFUSED
    else:
        delivery.state, delivery.next_attempt_at = DeliveryState.DUE, problem.retry_at


def _note(session: Session, delivery: Delivery, role: str, by: By) -> None:
    """Append the event; a series that was delivered is not any more when one is taken back."""
    series = session.scalars(
        select(Series)
        .join(Screening, Screening.series_id == Series.id)
        .where(Screening.id == delivery.screening_id)
        .with_for_update(of=Series)
        .execution_options(populate_existing=True)
    ).one()
    confirmed = delivery.state is DeliveryState.CONFIRMED
    detail = {
        "role": role,
        "destination": delivery.destination,
        "confirmed_by": delivery.confirmed_by,
        "error": delivery.error,
    }
    append_event(
        session, series, by, "confirmed" if confirmed else "not_committed", detail=detail
    )
    latest = latest_screening(session, series.id)
    if not confirmed and latest is not None and latest.id == delivery.screening_id:
        move_series(session, series.id, SeriesState.DELIVERED, SeriesState.SCREENED, by)
