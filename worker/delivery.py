"""The due objects of one screening to one destination: claim → send → record."""

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db import outbox
from db.backoff import backoff
from db.claim import Claim, claim_deliveries, extend_claims
from db.telemetry import DELIVERIES, get_logger
from peers.commitment import new_transaction_uid
from worker.deliver import deliver
from worker.errors import describe, stack_of
from worker.heartbeat import BEATS_PER_LEASE
from worker.outcomes import Accepted, Outcome, Refused, Unreachable
from worker.workshop import Workshop, utc_now

RETRY_BASE_SECONDS = 5.0
RETRY_CAP_SECONDS = 900.0

log = get_logger(__name__)


def deliver_objects(workshop: Workshop, screening_id: int, destination: str) -> None:
    """Send what is due; each object's row says what came of it and when to try again."""
    transaction_uid = new_transaction_uid()
    with workshop.sessions.begin() as session:
        claims = claim_deliveries(
            session,
            screening_id,
            destination,
            leased_by=workshop.name,
            now=utc_now(),
            lease_seconds=workshop.settings.lease_seconds,
            transaction_uid=transaction_uid,
        )
    if not claims:
        return  # sent already, or being sent: the message was only a nudge
    with structlog.contextvars.bound_contextvars(
        screening_id=screening_id,
        destination=destination,
        correlation_id=claims[0].correlation_id,
    ):
        with _kept(workshop, claims):
            outcomes = _send(workshop, claims, transaction_uid)
        with workshop.sessions.begin() as session:
            for claim, outcome in zip(claims, outcomes, strict=True):
                _record(session, claim, outcome)


@contextmanager
def _kept(workshop: Workshop, claims: Sequence[Claim]) -> Iterator[None]:
    """Extend the claims meanwhile: a destination slower than a lease would get everything
    again and again, and no answer of it would count.
    """
    lease_seconds = workshop.settings.lease_seconds
    finished = threading.Event()

    def extend() -> None:
        while not finished.wait(lease_seconds / BEATS_PER_LEASE):
            try:
                with workshop.sessions.begin() as session:
                    extend_claims(session, claims, now=utc_now(), lease_seconds=lease_seconds)
            except SQLAlchemyError as error:
                log.warning(
                    "claim_not_extended",
                    correlation_id=claims[0].correlation_id,
                    error=type(error).__name__,
                )

    thread = threading.Thread(target=extend, name="claims", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def _send(workshop: Workshop, claims: Sequence[Claim], transaction_uid: str) -> list[Outcome]:
    name = claims[0].destination
    try:
        destination = workshop.settings.destination(name)
    except KeyError:
        gone = Refused("no destination", f"OSTEOSCREEN_DESTINATIONS no longer lists {name}")
        return [gone] * len(claims)
    paths = [workshop.settings.spool_dir / claim.path for claim in claims]
    try:
        outcomes = deliver(
            paths, destination, workshop.settings, transaction_uid=transaction_uid
        )
        return [outcomes[claim.sop_instance_uid] for claim in claims]
    except Exception as error:
        # A process boundary: no file, half a file, or what a library did not expect.
        log.error("delivery_failed", error=describe(error), stack=stack_of(error))
        return [Unreachable("not sent", describe(error))] * len(claims)


def _record(session: Session, claim: Claim, outcome: Outcome) -> None:
    now = utc_now()
    match outcome:
        case Accepted(status, confirmed_by):
            outbox.mark_sent(session, claim, status=status, now=now)
            if confirmed_by is not None:
                outbox.mark_confirmed(session, claim, confirmed_by=confirmed_by, now=now)
            kind = "sent" if confirmed_by is None else "confirmed"
        case Refused(status, text):
            outbox.mark_refused(session, claim, status=status, error=text, now=now)
            kind = "refused"
        case Unreachable(status, text, retry_after_seconds):
            pause = backoff(
                claim.attempt,
                base_seconds=RETRY_BASE_SECONDS,
                cap_seconds=RETRY_CAP_SECONDS,
                jitter=random.random(),  # noqa: S311  # spreads retries, keeps no secret
            )
            pause = max(pause, timedelta(seconds=retry_after_seconds))
            outbox.mark_unreachable(
                session, claim, status=status, error=text, next_attempt_at=now + pause
            )
            kind = "unreachable"
    DELIVERIES.labels(claim.destination, kind).inc()
    log.info(f"object_{kind}", role=claim.role, status=outcome.status, attempt=claim.attempt)
