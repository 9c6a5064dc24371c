"""Runs: rows of ``screening`` from the lease of a series or study to its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.orm import Session

from db.models import Screening, Series, Study
from db.states import RunOutcome


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to screen a revision of a series while heartbeats continue."""

    screening_id: int
    series_id: int
    study_instance_uid: str
    series_instance_uid: str
    revision: int
    attempt: int
    leased_by: str
    correlation_id: str | None
    refused_count: int = 0
    instance_count: int = 0


@dataclass(frozen=True, slots=True)
class StudyLease:
    """The right to screen a study while heartbeats continue.

    ``series_id`` : a complete series of the study, to which the run belongs until it ends.
    ``revision`` : of the study: the number of times that it has been complete.
    """

    screening_id: int
    study_id: int
    series_id: int
    study_instance_uid: str
    revision: int
    attempt: int
    leased_by: str
    correlation_id: str | None


class LeaseLost(RuntimeError):
    """The run is no longer active: the lease expired or the series changed.

    Results must not be saved. The exception has to leave the ``sessions.begin()`` block, so
    that the transaction is rolled back.
    """

    def __init__(self, screening_id: int) -> None:
        super().__init__(screening_id)

    def __str__(self) -> str:
        return f"the lease of screening {self.args[0]} was lost"


def start_run(
    session: Session,
    series: Series,
    *,
    study: Study | None = None,
    leased_by: str,
    now: datetime,
    lease_seconds: float,
) -> int:
    """Insert an active run over a series, or over its ``study``; return its screening ID."""
    leased = study or series
    return session.scalars(
        insert(Screening)
        .values(
            series_id=series.id,
            study_id=study and study.id,
            revision=series.revision,
            attempt=leased.attempts,
            correlation_id=leased.correlation_id,
            leased_by=leased_by,
            lease_until=now + timedelta(seconds=lease_seconds),
            started_at=now,
        )
        .returning(Screening.id)
    ).one()


def heartbeat(
    session: Session, lease: Lease | StudyLease, *, now: datetime, lease_seconds: float
) -> bool:
    """Extend the lease; return False if it is lost and the run should stop."""
    return update_run(
        session, lease.screening_id, lease_until=now + timedelta(seconds=lease_seconds)
    )


def close_run(
    session: Session, screening_id: int, outcome: RunOutcome, *, now: datetime, **values: Any
) -> None:
    """End an active run; raise LeaseLost if it is no longer active."""
    if not update_run(session, screening_id, finished_at=now, outcome=outcome, **values):
        raise LeaseLost(screening_id)


def active_leases(session: Session) -> dict[int, datetime]:
    """Return the screening IDs of active runs with the end of their lease (worker's clock)."""
    rows = session.execute(
        select(Screening.id, Screening.lease_until).where(Screening.finished_at.is_(None))
    )
    return {screening_id: lease_until for screening_id, lease_until in rows}


def update_run(
    session: Session, screening_id: int, *where: ColumnElement[bool], **values: Any
) -> bool:
    """Update an active run; return False if it is not active or does not meet ``where``."""
    updated: Sequence[int] = session.scalars(
        update(Screening)
        .where(Screening.id == screening_id, Screening.finished_at.is_(None), *where)
        .values(**values)
        .returning(Screening.id)
    ).all()
    return bool(updated)
