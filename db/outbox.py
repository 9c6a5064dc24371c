"""Transactional outbox: save results with their due deliveries, and record deliveries."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from socket import gethostname
from typing import Any, Literal

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from db.audit import note_series
from db.deliveries import Claim, lock_result, mark_delivered
from db.leases import Lease, finish_run
from db.models import Delivery, HipResult, ResultObject
from db.notes import release_notes
from db.result_objects import NewObject
from db.states import DeliveryState, RunOutcome, SeriesState
from db.transition import ChangedBy, append_event
from db.withdrawal import Withdrawal, lock_deliveries, withdraw_all

ConfirmedBy = Literal["query", "commitment"]


@dataclass(frozen=True, slots=True)
class NewScreening:
    """Result of a run to be saved; ``result`` is the entry of ``result.json``.

    ``grade`` : None where the spine is measured and no hip is graded; ``model_name`` and the
    others are those of the measurement then.

    ``not_delivered_code``, ``not_delivered_text`` : why it is not delivered, otherwise None.
    """

    orientation: str
    grade: str | None
    model_name: str
    model_version: str
    model_modality: str
    model_training_data: str
    model_sha256: str
    result: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    not_delivered_code: str | None = None
    not_delivered_text: str | None = None


@dataclass(frozen=True, slots=True)
class NewHip:
    """A hip to be saved; ``state`` is graded or not_assessable; centers are LPS, mm."""

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
    series_id: int | None = None
    """Series that the hip is taken from, where a study has the result."""


@dataclass(frozen=True, slots=True)
class NewResult:
    """A result with its hips, its objects, and where these go.

    ``withdrawals`` : earlier results, which this one replaces. ``folder`` : of the files of a
    study, relative to the spool.
    """

    screening: NewScreening
    hips: Sequence[NewHip]
    objects: Sequence[NewObject]
    destinations: Sequence[str]
    withdrawals: Sequence[Withdrawal] = ()
    folder: str | None = None


def save_screening(
    session: Session, lease: Lease, result: NewResult, *, now: datetime
) -> SeriesState:
    """End the run with a result, its objects, and a due delivery per object and destination.

    Write and fsync the objects first. Without destinations the series is delivered at once; a
    result that is not to be delivered stays ``screened``.
    Returns the new state; raises LeaseLost.
    """
    lock_deliveries(session, result.withdrawals)
    finish_run(
        session,
        lease,
        RunOutcome.SCREENED,
        now=now,
        run_values=run_values(result.screening),
        detail=end_detail(result),
    )
    by = ChangedBy(lease.leased_by, now)
    insert_results(session, lease.screening_id, result, now=now)
    withdraw_all(session, result.withdrawals, by, replaced_by=lease.screening_id)
    run, series = lock_result(session, lease.screening_id)
    mark_delivered(session, series, run, by)
    return series.state


def end_detail(result: NewResult) -> dict[str, Any]:
    """Return the detail of the event that ends a run with a result."""
    detail = {
        "grade": result.screening.grade,
        "objects": [one.role for one in result.objects],
    }
    withheld = result.screening.not_delivered_code
    return detail if withheld is None else {**detail, "not_delivered": withheld}


def insert_results(
    session: Session, screening_id: int, result: NewResult, *, now: datetime
) -> None:
    """Insert hips, objects and due deliveries: none where it is not to be delivered."""
    run = {"screening_id": screening_id}
    if result.hips:
        session.execute(insert(HipResult), [{**asdict(hip), **run} for hip in result.hips])
    object_ids = session.scalars(
        insert(ResultObject).returning(ResultObject.id),
        [{**asdict(one), **run} for one in result.objects],
    ).all()
    destinations = result.destinations if result.screening.not_delivered_code is None else ()
    new = {**run, "state": DeliveryState.DUE, "next_attempt_at": now}
    due = [
        {**new, "object_id": object_id, "destination": destination}
        for object_id in object_ids
        for destination in destinations
    ]
    if due:
        session.execute(insert(Delivery), due)


def mark_sent(session: Session, claim: Claim, *, status: str, now: datetime) -> bool:
    """Record that the destination accepted the object; the last one completes the series."""
    values = {
        "state": DeliveryState.SENT,
        "sent_at": now,
        "may_hold": True,
        "last_status": status,
        "error": None,
    }
    if not _finish(session, claim, "sent", values, now=now):
        return False
    note_series(
        session,
        "sent",
        [claim.series_id],
        at=now,
        service="worker",
        host=gethostname(),
        peer=claim.destination,
        instances={claim.sop_class_uid: 1},
    )
    return True


def mark_confirmed(
    session: Session, claim: Claim, *, confirmed_by: ConfirmedBy, now: datetime
) -> bool:
    """Record that the destination confirmed the object; call after ``mark_sent``."""
    values = {
        "state": DeliveryState.CONFIRMED,
        "confirmed_at": now,
        "confirmed_by": confirmed_by,
    }
    return _finish(session, claim, "confirmed", values, now=now, before=DeliveryState.SENT)


def mark_refused(
    session: Session,
    claim: Claim,
    *,
    status: str | None,
    error: str,
    now: datetime,
    may_hold: bool = False,
) -> bool:
    """Record that the destination refused the object permanently; an operator has to act.

    ``may_hold`` : as in ``mark_unreachable``.
    """
    values: dict[str, Any] = {
        "state": DeliveryState.REFUSED,
        "last_status": status,
        "error": error,
    }
    if may_hold:
        values["may_hold"] = True
    return _finish(session, claim, "refused", values, now=now)


def mark_unreachable(
    session: Session,
    claim: Claim,
    *,
    status: str | None,
    error: str,
    next_attempt_at: datetime,
    may_hold: bool = False,
) -> bool:
    """Record a transient error: due again at ``next_attempt_at``. Appends no event.

    ``may_hold`` : the destination may have stored the object without an answer.
    """
    values: dict[str, Any] = {
        "next_attempt_at": next_attempt_at,
        "last_status": status,
        "error": error,
    }
    if may_hold:
        values["may_hold"] = True
    return _update_claimed(session, claim, DeliveryState.DUE, values)


def run_values(screening: NewScreening) -> dict[str, Any]:
    """Return the columns of a run with a result."""
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
    by = ChangedBy(claim.leased_by, now)
    # Lock the series after the update of the delivery: if two workers finish the last two
    # deliveries concurrently, the second one waits here and then sees the row of the first.
    run, series = lock_result(session, claim.screening_id)
    detail = {
        "role": claim.role,
        "destination": claim.destination,
        "sop_instance_uid": claim.sop_instance_uid,
        "status": values.get("last_status"),
        "confirmed_by": values.get("confirmed_by"),
        "attempt": claim.attempt,
    }
    append_event(session, series, by, what, detail=detail)
    release_notes(session, claim.screening_id, now=now)
    mark_delivered(session, series, run, by)
    return True


def _update_claimed(
    session: Session, claim: Claim, before: DeliveryState, values: Mapping[str, Any]
) -> bool:
    """Update a delivery and end its claim; return False if the claim is no longer held."""
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
