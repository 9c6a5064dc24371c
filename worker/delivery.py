"""The due objects of one screening to one destination: claim → send → record."""

import random
from collections.abc import Sequence

import structlog
from sqlalchemy.orm import Session

from db import outbox
from db.backoff import backoff
from db.outbox import Claim
from db.telemetry import DELIVERIES, get_logger
from worker.deliver import deliver
from worker.errors import describe, stack_of
from worker.outcomes import Accepted, Outcome, Refused, Unreachable
from worker.workshop import Workshop, utc_now

RETRY_BASE_SECONDS = 5.0
RETRY_CAP_SECONDS = 900.0

log = get_logger(__name__)


def deliver_objects(workshop: Workshop, screening_id: int, destination: str) -> None:
    """Send what is due; each object's row says what came of it and when to try again."""
    with workshop.sessions.begin() as session:
        claims = outbox.claim_deliveries(
            session,
            screening_id,
            destination,
            leased_by=workshop.name,
            now=utc_now(),
            # No heartbeat: a PACS that is slower than this gets everything twice, harmlessly.
            lease_seconds=workshop.settings.lease_seconds,
        )
    if not claims:
        return  # sent already, or being sent: the message was only a nudge
    with structlog.contextvars.bound_contextvars(
        screening_id=screening_id, destination=destination
    ):
        outcomes = _send(workshop, claims)
        with workshop.sessions.begin() as session:
            for claim, outcome in zip(claims, outcomes, strict=True):
                _record(session, claim, outcome)


def _send(workshop: Workshop, claims: Sequence[Claim]) -> list[Outcome]:
    name = claims[0].destination
    try:
        destination = workshop.settings.destination(name)
    except KeyError:
        gone = Refused("no destination", f"OSTEOSCREEN_DESTINATIONS no longer lists {name}")
        return [gone] * len(claims)
    paths = [workshop.settings.spool_dir / claim.path for claim in claims]
    try:
        outcomes = deliver(paths, destination, workshop.settings)
        return [outcomes[claim.sop_instance_uid] for claim in claims]
    except Exception as error:
        # A process boundary: no file, half a file, or what a library did not expect.
        log.error("delivery_failed", error=describe(error), stack=stack_of(error))
        return [Unreachable("not sent", describe(error))] * len(claims)


def _record(session: Session, claim: Claim, outcome: Outcome) -> None:
    now = utc_now()
    match outcome:
        case Accepted(status, confirmed):
            outbox.mark_sent(session, claim, status=status, now=now)
            if confirmed:
                outbox.mark_confirmed(session, claim, now=now)
            kind = "confirmed" if confirmed else "sent"
        case Refused(status, text):
            outbox.mark_refused(session, claim, status=status, error=text, now=now)
            kind = "refused"
        case Unreachable(status, text):
            pause = backoff(
                claim.attempt,
                base_seconds=RETRY_BASE_SECONDS,
                cap_seconds=RETRY_CAP_SECONDS,
                jitter=random.random(),  # noqa: S311  # spreads retries, keeps no secret
            )
            outbox.mark_unreachable(
                session, claim, status=status, error=text, next_attempt_at=now + pause
            )
            kind = "unreachable"
    DELIVERIES.labels(claim.destination, kind).inc()
    log.info(f"object_{kind}", role=claim.role, status=outcome.status, attempt=claim.attempt)
