"""Deliver results again that destinations have accepted, for a PACS that lost them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from db.deliveries import lock_result, undo_delivered
from db.models import Delivery, Screening, Series
from db.results import is_current
from db.states import ACCEPTED, DeliveryState
from db.transition import ChangedBy, append_event

AGAIN = {
    "state": DeliveryState.DUE,
    "attempts": 0,
    "sent_at": None,
    "confirmed_at": None,
    "confirmed_by": None,
    "transaction_uid": None,
    "last_status": None,
    "error": None,
}


@dataclass(frozen=True, slots=True)
class Delivered:
    """Which accepted objects are meant; all that is given must match.

    ``uid`` : of a study or of a CT series. ``since``, ``until`` : when the destination accepted
    the object; ``until`` is not included.
    """

    uid: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    model_version: str | None = None
    destination: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveredResult:
    """A result that stands, with the number of accepted objects by destination."""

    screening_id: int
    study_instance_uid: str
    series_instance_uid: str
    model_version: str
    objects: dict[str, int]


def delivered_results(session: Session, wanted: Delivered) -> list[DeliveredResult]:
    """Return the results with accepted objects; withdrawn and superseded ones are left out.

    An object whose delivery is in progress is left out, too.
    """
    rows = session.execute(
        select(
            Screening.id,
            Series.study_instance_uid,
            Series.series_instance_uid,
            Screening.model_version,
            Delivery.destination,
        )
        .join(Series, Series.id == Screening.series_id)
        .join(Delivery, Delivery.screening_id == Screening.id)
        .where(is_current(), *_accepted(wanted), *_of_runs(wanted))
        .order_by(Screening.id, Delivery.destination)
    )
    results: dict[int, DeliveredResult] = {}
    for run, study, series, version, destination in rows:
        one = results.setdefault(run, DeliveredResult(run, study, series, version or "", {}))
        one.objects[destination] = one.objects.get(destination, 0) + 1
    return list(results.values())


def redeliver_result(
    session: Session, screening_id: int, wanted: Delivered, *, actor: str, now: datetime
) -> int:
    """Make the accepted objects of a result due again; return their number.

    0: it was withdrawn or is being delivered meanwhile.
    """
    current = select(Screening.id).where(Screening.id == screening_id, is_current())
    if session.scalar(current) is None:
        return 0
    due = session.scalars(
        update(Delivery)
        .where(Delivery.screening_id == screening_id, *_accepted(wanted))
        .values(**AGAIN, next_attempt_at=now)
        .returning(Delivery.id)
    ).all()
    if due:
        run, series = lock_result(session, screening_id)
        by = ChangedBy(actor, now)
        undo_delivered(session, series, run, by)
        detail = {"count": len(due), "forced": True}
        append_event(session, series, by, "deliveries_retried", detail=detail)
    return len(due)


def _accepted(wanted: Delivered) -> Sequence[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        Delivery.state.in_(ACCEPTED),
        Delivery.lease_until.is_(None),
    ]
    if wanted.destination is not None:
        conditions.append(Delivery.destination == wanted.destination)
    if wanted.since is not None:
        conditions.append(Delivery.sent_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(Delivery.sent_at < wanted.until)
    return conditions


def _of_runs(wanted: Delivered) -> Sequence[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.uid is not None:
        named = or_(
            Series.study_instance_uid == wanted.uid, Series.series_instance_uid == wanted.uid
        )
        conditions.append(named)
    if wanted.model_version is not None:
        conditions.append(Screening.model_version == wanted.model_version)
    return conditions
