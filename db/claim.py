"""Deliveries that are being sent stay with the worker that sends them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import tuple_, update
from sqlalchemy.orm import Session

from db.models import Delivery
from db.outbox import Claim


def extend_claims(
    session: Session, claims: Sequence[Claim], *, now: datetime, lease_seconds: float
) -> None:
    """Extend the claims that nobody has taken over and nothing has ended."""
    session.execute(
        update(Delivery)
        .where(
            tuple_(Delivery.id, Delivery.attempts).in_(
                [(claim.delivery_id, claim.attempt) for claim in claims]
            ),
            Delivery.lease_until.is_not(None),
        )
        .values(lease_until=now + timedelta(seconds=lease_seconds))
    )
