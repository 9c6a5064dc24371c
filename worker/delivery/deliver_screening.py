"""Delivery of the due objects of one screening to one destination: claim, send, record."""

import random
from collections.abc import Sequence
from datetime import timedelta

import structlog

from common import supervised
from common.backoff import backoff
from common.dicomnet import association
from common.dicomnet.commitment import Report, new_transaction_uid
from common.logging import get_logger
from common.metrics import DELIVERIES
from db import outbox
from db.deliveries import Claim, DueDelivery, claim_deliveries, extend_claims
from db.models import NOTE
from db.pauses import block, set_retry, unblock
from db.session import DatabaseError, Session
from worker.context import WorkerContext, utc_now
from worker.delivery import store_scu
from worker.delivery.late_reports import record_late_reports
from worker.delivery.result import (
    DEADLINE,
    Accepted,
    Outcome,
    Refused,
    Unreachable,
    may_be_stored,
)
from worker.delivery.send import Job, NotSent, Sent, send
from worker.lease_heartbeat import LeaseHeartbeat
from worker.screening.withdrawal import mark_result

RETRY_BASE_SECONDS = 5.0
RETRY_CAP_SECONDS = 900.0
ANSWER_SECONDS = association.ANSWER_SECONDS
REPORT_SECONDS = store_scu.REPORT_SECONDS

log = get_logger(__name__)


def deliver_screening(context: WorkerContext, screening_id: int, destination: str) -> None:
    """Send the due objects; record the outcome of each and the time of its next attempt."""
    transaction_uid = new_transaction_uid()
    with context.sessions.begin() as session:
        claims = claim_deliveries(
            session,
            DueDelivery(screening_id, destination),
            leased_by=context.name,
            now=utc_now(),
            lease_seconds=context.settings.lease_seconds,
            transaction_uid=transaction_uid,
        )
    if not claims:
        return  # already sent, or claimed by another worker
    with structlog.contextvars.bound_contextvars(
        screening_id=screening_id,
        destination=destination,
        correlation_id=claims[0].correlation_id,
    ):
        # Without extension, a destination slower than a lease would get every object again,
        # and none of its answers would count.
        if any(claim.role == NOTE for claim in claims):
            mark_result(
                context.sessions, context.spool, context.settings.spool_dir, screening_id
            )
        with LeaseHeartbeat(
            lambda: _extend(context, claims), lease_seconds=context.settings.lease_seconds
        ):
            outcomes, reports = _send(context, claims, transaction_uid)
        with context.sessions.begin() as session:
            for claim, outcome in zip(claims, outcomes, strict=True):
                _record(session, claim, outcome)
        _record_destination(context, destination, outcomes)
        record_late_reports(context, reports)


def _extend(context: WorkerContext, claims: Sequence[Claim]) -> bool:
    try:
        with context.sessions.begin() as session:
            extend_claims(
                session, claims, now=utc_now(), lease_seconds=context.settings.lease_seconds
            )
    except DatabaseError as error:
        log.warning(
            "claim_not_extended",
            correlation_id=claims[0].correlation_id,
            error=type(error).__name__,
        )
    return True


def _send(
    context: WorkerContext, claims: Sequence[Claim], transaction_uid: str
) -> tuple[list[Outcome], tuple[Report, ...]]:
    name = claims[0].destination
    try:
        destination = context.settings.destination(name)
    except KeyError:
        removed = Refused("no destination", f"OSTEOSCREEN_DESTINATIONS no longer lists {name}")
        return [removed] * len(claims), ()
    job = Job(
        tuple(context.settings.spool_dir / claim.path for claim in claims),
        destination,
        context.settings.ae_title,
        context.settings.tls,
        transaction_uid,
        answer_seconds=ANSWER_SECONDS,
        report_seconds=REPORT_SECONDS,
    )
    sent = _send_supervised(job, context.settings.delivery_limit_seconds)
    if isinstance(sent, Sent):
        return [sent.outcomes[claim.sop_instance_uid] for claim in claims], sent.reports
    return [sent] * len(claims), ()


def _send_supervised(job: Job, limit_seconds: float) -> Sent | Unreachable:
    """Send in a child process; a delivery without a result is transient."""
    try:
        return supervised.call(send, job, seconds=limit_seconds, raises=(NotSent,))
    except supervised.DeadlineExceeded:
        log.error("delivery_overdue", limit_seconds=limit_seconds)
        text = f"the destination did not finish within {limit_seconds:g} s"
        return Unreachable(
            DEADLINE, f"{text} (OSTEOSCREEN_DELIVERY_LIMIT_SECONDS)", blocks_destination=True
        )
    except supervised.ChildEnded:
        return Unreachable("not sent", "the process of the delivery ended without a result")
    except NotSent as error:
        return Unreachable("not sent", str(error))


def _record(session: Session, claim: Claim, outcome: Outcome) -> None:
    now = utc_now()
    match outcome:
        case Accepted(status, confirmed_by):
            outbox.mark_sent(session, claim, status=status, now=now)
            if confirmed_by is not None:
                outbox.mark_confirmed(session, claim, confirmed_by=confirmed_by, now=now)
            kind = "sent" if confirmed_by is None else "confirmed"
        case Refused(status, text):
            outbox.mark_refused(
                session,
                claim,
                status=status,
                error=text,
                now=now,
                may_hold=may_be_stored(outcome),
            )
            kind = "refused"
        case Unreachable(status, text, retry_after_seconds, _):
            pause = _pause(claim.attempt, retry_after_seconds)
            outbox.mark_unreachable(
                session,
                claim,
                status=status,
                error=text,
                next_attempt_at=now + pause,
                may_hold=may_be_stored(outcome),
            )
            kind = "unreachable"
    DELIVERIES.labels(claim.destination, kind).inc()
    log.info(f"object_{kind}", role=claim.role, status=outcome.status, attempt=claim.attempt)


def _record_destination(
    context: WorkerContext, destination: str, outcomes: Sequence[Outcome]
) -> None:
    """Pause a destination that accepts nothing; resume it when it has answered."""
    faults = [one for one in outcomes if isinstance(one, Unreachable)]
    blocking = next((one for one in faults if one.blocks_destination), None)
    with context.sessions.begin() as session:
        if blocking is not None:
            _block(context, session, destination, blocking)
        elif len(faults) < len(outcomes):
            unblock(session, destination, actor=context.name, now=utc_now())


def _block(
    context: WorkerContext, session: Session, destination: str, fault: Unreachable
) -> None:
    now, cause = utc_now(), f"{fault.status}, {fault.text}"
    failures = block(session, destination, cause=cause, actor=context.name, now=now)
    if failures:
        pause = _pause(failures, fault.retry_after_seconds)
        set_retry(session, destination, retry_at=now + pause)
        log.warning("destination_paused", cause=cause, failures=failures)


def _pause(attempt: int, retry_after_seconds: float) -> timedelta:
    pause = backoff(
        attempt,
        base_seconds=RETRY_BASE_SECONDS,
        cap_seconds=RETRY_CAP_SECONDS,
        jitter=random.random(),  # noqa: S311 - spreads retries, not a secret
    )
    return max(pause, timedelta(seconds=retry_after_seconds))
