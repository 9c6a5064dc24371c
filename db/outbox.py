"""Results become durable together with the deliveries that they are owed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from db.claim import Claim
from db.lease import Lease, finish_run
from db.models import Delivery, Hip, ResultObject, Series
from db.settle import move_to_delivered, settle_series
from db.states import DeliveryState, RunOutcome, SeriesState
from db.transition import By, append_event

Role = Literal["sr", "sc", "pm"]
ConfirmedBy = Literal["query", "commitment"]


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


def mark_sent(session: Session, claim: Claim, *, status: str, now: datetime) -> bool:
    """The destination accepted the object. The last one makes the series delivered."""
    values = {"state": DeliveryState.SENT, "sent_at": now, "last_status": status, "error": None}
    return _finish(session, claim, "sent", values, now=now)


def mark_confirmed(
    session: Session, claim: Claim, *, confirmed_by: ConfirmedBy, now: datetime
) -> bool:
    """The destination lists the object, or has promised to keep it; after ``mark_sent``."""
    values = {
        "state": DeliveryState.CONFIRMED,
        "confirmed_at": now,
        "confirmed_by": confirmed_by,
    }
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
        "confirmed_by": values.get("confirmed_by"),
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
