"""Results become durable together with the deliveries that they are owed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, func, insert, or_, select, update
from sqlalchemy.orm import Session

from db.lease import Lease, finish_run
from db.models import Delivery, Hip, ResultObject, Screening, Series
from db.settle import move_to_delivered, settle_series
from db.states import DeliveryState, RunOutcome, SeriesState
from db.transition import By, append_event

Role = Literal["sr", "sc"]


@dataclass(frozen=True, slots=True)
class NewScreening:
    """What a finished run found; ``result`` is the entry of ``result.json``."""

    orientation: str
    grade: str
    model_name: str
    model_version: str
    model_modality: str
    model_training_data: str
    model_sha256: str
    result: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewHip:
    """One hip; ``state`` is graded or not_assessable; positions are patient LPS, mm."""

    side: str
    state: str
    reason_code: str | None = None
    reason_text: str | None = None
    grade: str | None = None
    probability_normal: float | None = None
    probability_osteopenia: float | None = None
    probability_osteoporosis: float | None = None
    neck_hu: float | None = None
    neck_sd_hu: float | None = None
    center_x_mm: float | None = None
    center_y_mm: float | None = None
    center_z_mm: float | None = None


@dataclass(frozen=True, slots=True)
class NewObject:
    """An SR or SC that is already durable at ``path``, relative to the spool."""

    role: Role
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    path: str


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """One task's worth: the due objects of a screening for one destination."""

    screening_id: int
    destination: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One object that this worker may send now."""

    delivery_id: int
    screening_id: int
    series_id: int
    destination: str
    attempt: int
    leased_by: str
    role: str
    sop_class_uid: str
    sop_instance_uid: str
    path: str


def save_screening(
    session: Session,
    lease: Lease,
    screening: NewScreening,
    hips: Sequence[NewHip],
    objects: Sequence[NewObject],
    destinations: Sequence[str],
    *,
    now: datetime,
) -> SeriesState:
    """End the run with results, objects and one due delivery an object and destination.

    Write and fsync the objects first. Without a destination the series is delivered at once:
    nobody is owed anything. Returns the state that follows; raises LeaseLost.
    """
    series = finish_run(
        session,
        lease,
        SeriesState.SCREENED,
        RunOutcome.SCREENED,
        now=now,
        series_values={"next_attempt_at": None, "error": None},
        run_values=_run_values(screening),
        detail={"grade": screening.grade, "objects": [one.role for one in objects]},
    )
    run = {"screening_id": lease.screening_id}
    if hips:
        session.execute(insert(Hip), [{**asdict(hip), **run} for hip in hips])
    object_ids = session.scalars(
        insert(ResultObject).returning(ResultObject.id),
        [{**asdict(one), **run} for one in objects],
    ).all()
    new = {**run, "state": DeliveryState.DUE, "next_attempt_at": now}
    due = [
        {**new, "object_id": object_id, "destination": destination}
        for object_id in object_ids
        for destination in destinations
    ]
    if due:
        session.execute(insert(Delivery), due)
        return SeriesState.SCREENED
    move_to_delivered(session, series.id, By(lease.leased_by, now))
    return SeriesState.DELIVERED


def due_deliveries(session: Session, *, now: datetime, limit: int) -> list[DueDelivery]:
    """What may be sent now and nobody is sending, the longest waiting first."""
    rows = session.execute(
        select(Delivery.screening_id, Delivery.destination)
        .where(*_is_due(now))
        .group_by(Delivery.screening_id, Delivery.destination)
        .order_by(func.min(Delivery.next_attempt_at), Delivery.screening_id)
        .limit(limit)
    )
    return [DueDelivery(screening_id, destination) for screening_id, destination in rows]


def claim_deliveries(
    session: Session,
    screening_id: int,
    destination: str,
    *,
    leased_by: str,
    now: datetime,
    lease_seconds: float,
) -> tuple[Claim, ...]:
    """Take the due objects of a screening for one destination; empty when there are none.

    Counts the attempt: commit before sending. Two workers never hold the same object.
    """
    claimed = session.execute(
        update(Delivery)
        .where(
            Delivery.id.in_(
                select(Delivery.id)
                .where(
                    Delivery.screening_id == screening_id,
                    Delivery.destination == destination,
                    *_is_due(now),
                )
                .with_for_update(skip_locked=True)
            )
        )
        .values(
            attempts=Delivery.attempts + 1,
            leased_by=leased_by,
            lease_until=now + timedelta(seconds=lease_seconds),
        )
        .returning(Delivery.id, Delivery.object_id, Delivery.attempts)
    ).all()
    attempts = {object_id: (delivery_id, count) for delivery_id, object_id, count in claimed}
    rows = session.execute(
        select(ResultObject, Screening.series_id)
        .join(Screening, Screening.id == ResultObject.screening_id)
        .where(ResultObject.id.in_(attempts))
        .order_by(ResultObject.id)
    )
    return tuple(
        Claim(
            delivery_id=attempts[one.id][0],
            screening_id=screening_id,
            series_id=series_id,
            destination=destination,
            attempt=attempts[one.id][1],
            leased_by=leased_by,
            role=one.role,
            sop_class_uid=one.sop_class_uid,
            sop_instance_uid=one.sop_instance_uid,
            path=one.path,
        )
        for one, series_id in rows
    )


def mark_sent(session: Session, claim: Claim, *, status: str, now: datetime) -> bool:
    """The destination accepted the object. The last one makes the series delivered."""
    values = {"state": DeliveryState.SENT, "sent_at": now, "last_status": status, "error": None}
    return _finish(session, claim, "sent", values, now=now)


def mark_confirmed(session: Session, claim: Claim, *, now: datetime) -> bool:
    """The destination was asked and has the object; after ``mark_sent``."""
    values = {"state": DeliveryState.CONFIRMED, "confirmed_at": now}
    return _finish(session, claim, "confirmed", values, now=now, before=DeliveryState.SENT)


def mark_refused(
    session: Session, claim: Claim, *, status: str | None, error: str, now: datetime
) -> bool:
    """The destination will never accept the object as it is; an operator has to act."""
    values = {"state": DeliveryState.REFUSED, "last_status": status, "error": error}
    return _finish(session, claim, "refused", values, now=now)


def mark_unreachable(
    session: Session,
    claim: Claim,
    *,
    status: str | None,
    error: str,
    next_attempt_at: datetime,
) -> bool:
    """A transient error: due again at ``next_attempt_at``. No event: the row counts."""
    values = {"next_attempt_at": next_attempt_at, "last_status": status, "error": error}
    return _update_claimed(session, claim, DeliveryState.DUE, values)


def _run_values(screening: NewScreening) -> dict[str, Any]:
    return {
        **asdict(screening),
        "warnings": list(screening.warnings),
        "timings_ms": dict(screening.timings_ms),
        "result": dict(screening.result),
    }


def _is_due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Delivery.state == DeliveryState.DUE,
        Delivery.next_attempt_at <= now,
        or_(Delivery.lease_until.is_(None), Delivery.lease_until < now),
    )


def _finish(
    session: Session,
    claim: Claim,
    what: str,
    values: Mapping[str, Any],
    *,
    now: datetime,
    before: DeliveryState = DeliveryState.DUE,
) -> bool:
    if not _update_claimed(session, claim, before, values):
        return False
    by = By(claim.leased_by, now)
    # Locked after the delivery is updated: of two workers that finish the last two deliveries
    # at once, the second waits here and then sees the first one's row.
    series = session.scalars(
        select(Series)
        .where(Series.id == claim.series_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    detail = {
        "role": claim.role,
        "destination": claim.destination,
        "sop_instance_uid": claim.sop_instance_uid,
        "status": values.get("last_status"),
        "attempt": claim.attempt,
    }
    append_event(session, series, by, what, detail=detail)
    settle_series(session, series, claim.screening_id, by)
    return True


def _update_claimed(
    session: Session, claim: Claim, before: DeliveryState, values: Mapping[str, Any]
) -> bool:
    """Change a delivery that nobody has claimed or finished since; ends the claim."""
    updated = session.scalars(
        update(Delivery)
        .where(
            Delivery.id == claim.delivery_id,
            Delivery.state == before,
            Delivery.attempts == claim.attempt,
        )
        .values(leased_by=None, lease_until=None, **values)
        .returning(Delivery.id)
    ).all()
    return bool(updated)
