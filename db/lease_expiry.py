"""Expiry of leases whose worker died or hangs."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import study_leases
from db.leases import is_exhausted, lease_of, release
from db.models import Screening, Series, Study
from db.runs import Lease, StudyLease, update_run
from db.states import RunOutcome
from db.transition import ChangedBy

SWEEP_ACTOR = "sweep"


def expire_leases(
    session: Session, silent: Mapping[int, datetime], *, now: datetime, max_attempts: int
) -> list[int]:
    """End runs whose lease was not extended, and queue or fail what they screened.

    ``silent`` holds the items of ``active_leases`` that have not changed for too long; a lease
    that has been extended since then is kept. Returns the IDs of the series of the ended
    runs after which another attempt is due.
    """
    again = []
    for lease in _locked_leases(session, silent):
        closed = update_run(
            session,
            lease.screening_id,
            Screening.lease_until == silent[lease.screening_id],  # no heartbeat in between
            finished_at=now,
            outcome=RunOutcome.EXPIRED,
        )
        if not closed:
            continue
        exhausted = is_exhausted(session, lease, max_attempts)
        error = f"lease of {lease.leased_by} expired in attempt {lease.attempt}"
        release(
            session,
            lease,
            ChangedBy(SWEEP_ACTOR, now),
            failed=exhausted,
            values={"error": error, "next_attempt_at": None if exhausted else now},
            detail={"error": error},
        )
        if not exhausted:
            again.append(lease.series_id)
    return again


def _locked_leases(
    session: Session, silent: Mapping[int, datetime]
) -> Iterator[Lease | StudyLease]:
    """Yield the leases of active runs, whose series or study is locked; skip locked ones."""
    active = (Screening.finished_at.is_(None), Screening.id.in_(silent))
    for run, study in session.execute(
        select(Screening, Study)
        .join(Study, Study.id == Screening.study_id)
        .where(*active)
        .order_by(Study.id)
        .with_for_update(of=Study, skip_locked=True)
    ).all():
        yield study_leases.lease_of(run, study)
    for run, series in session.execute(
        select(Screening, Series)
        .join(Series, Series.id == Screening.series_id)
        .where(*active, Screening.study_id.is_(None))
        .order_by(Series.id)
        .with_for_update(of=Series, skip_locked=True)
    ).all():
        yield lease_of(run.id, series, run.leased_by)
