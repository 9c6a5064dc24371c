"""Record reports of Storage Commitment from destinations."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.deliveries import lock_result, undo_delivered
from db.models import NOTE, Delivery, ResultObject, Screening
from db.results import newest_of_same
from db.session import Sessions
from db.states import ACCEPTED, DeliveryState
from db.transition import ChangedBy, append_event

NOT_COMMITTED = "not committed"  # stored in the column of the DIMSE or HTTP status


SEND_AGAIN = timedelta(minutes=15)
WORKER_SECONDS = 10.0
"""A PACS may report before the worker has recorded that it accepted the objects."""
POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class NotCommitted:
    """Reason of a failed commitment; ``retry_at`` is None if a retry cannot succeed."""

    text: str
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """Number of deliveries in a report, and the correlation ID of their series."""

    deliveries: int
    correlation_id: str | None = None


class TooEarly(RuntimeError):
    """The report arrived before the worker recorded the outcome of the delivery."""


def record_after_delivery(
    sessions: Sessions,
    transaction_uid: str,
    committed: Collection[str],
    failures: Mapping[str, tuple[str, bool]],
    *,
    actor: str,
) -> Reported:
    """Record a report; wait for the worker if it has not yet recorded the delivery.

    ``failures`` : text by SOP Instance UID, and whether another request may succeed. Raises
    TooEarly after ``WORKER_SECONDS``.
    """
    deadline = time.monotonic() + WORKER_SECONDS
    while True:
        now = datetime.now(UTC)
        failed = {
            uid: NotCommitted(text, now + SEND_AGAIN if passing else None)
            for uid, (text, passing) in failures.items()
        }
        try:
            with sessions.begin() as session:
                return record_report(
                    session, transaction_uid, committed, failed, now=now, actor=actor
                )
        except TooEarly:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)


def record_report(
    session: Session,
    transaction_uid: str,
    committed: Collection[str],
    failed: Mapping[str, NotCommitted],
    *,
    now: datetime,
    actor: str,
) -> Reported:
    """Confirm the committed objects; the failed ones become due again or refused.

    ``committed`` holds SOP Instance UIDs, ``failed`` the reasons by SOP Instance UID.
    Deliveries that were sent again in the meantime are not changed. Raises TooEarly.
    """
    rows = session.execute(
        select(
            Delivery,
            ResultObject.sop_instance_uid,
            ResultObject.role,
            Screening.correlation_id,
            Screening.withdrawn_at,
        )
        .join(ResultObject, ResultObject.id == Delivery.object_id)
        .join(Screening, Screening.id == ResultObject.screening_id)
        .where(Delivery.transaction_uid == transaction_uid)
        .order_by(Delivery.id)
        .with_for_update(of=Delivery)
    ).all()
    by = ChangedBy(actor, now)
    for delivery, sop_instance_uid, role, _, withdrawn_at in rows:
        if delivery.state is DeliveryState.DUE and delivery.lease_until is not None:
            raise TooEarly
        is_withdrawn = withdrawn_at is not None and role != NOTE
        if delivery.state not in ACCEPTED or is_withdrawn:
            continue
        if sop_instance_uid in committed:
            delivery.state = DeliveryState.CONFIRMED
            delivery.confirmed_at, delivery.confirmed_by = now, "commitment"
        elif sop_instance_uid in failed:
            _mark_not_committed(delivery, failed[sop_instance_uid])
        else:
            continue
        session.flush()
        _record_event(session, delivery, role, by)
    # An association carries the objects of a single screening.
    return Reported(len(rows), rows[0].correlation_id if rows else None)


def _mark_not_committed(delivery: Delivery, problem: NotCommitted) -> None:
    delivery.last_status, delivery.error = NOT_COMMITTED, problem.text
    delivery.confirmed_at = delivery.confirmed_by = None
    if problem.retry_at is None:
        delivery.state = DeliveryState.REFUSED
    else:
        delivery.state, delivery.next_attempt_at = DeliveryState.DUE, problem.retry_at


def _record_event(session: Session, delivery: Delivery, role: str, by: ChangedBy) -> None:
    """Append the event; a delivered series with a failed commitment is no longer delivered."""
    run, series = lock_result(session, delivery.screening_id)
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
    newest = session.scalars(newest_of_same(run)).one_or_none()
    is_newest = newest is not None and newest.id == run.id
    if not confirmed and (is_newest or role == NOTE):
        undo_delivered(session, series, run, by)
