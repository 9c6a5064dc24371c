"""Database rows for tests: complete series, leases, screenings and deliveries.

Tests pass the time explicitly, relative to ``NOW``.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db.completed_series import CompletedSeries, Registered, SeriesFacts
from db.deliveries import Claim, DueDelivery, claim_deliveries
from db.instances import NewInstance
from db.leases import Lease, due_series, finish_failed, lease_series
from db.models import Delivery, Event, Screening, Series
from db.outbox import NewHip, NewResult, NewScreening, mark_sent, save_screening
from db.registration import register_revision
from db.result_objects import NewObject
from db.states import DeliveryState, SeriesState

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
STUDY, SERIES = "1.2.3", "1.2.3.4"
MAX_ATTEMPTS = 3
Sessions = sessionmaker[Session]


def after(seconds: float) -> datetime:
    """Return the time ``seconds`` after ``NOW``."""
    return NOW + timedelta(seconds=seconds)


def instance(number: int, *, content: str = "a") -> NewInstance:
    """Return an instance whose digest depends on its number and content."""
    return NewInstance(
        sop_instance_uid=f"{SERIES}.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        sha256=f"{number:062d}{ord(content):02x}",
        bytes=512,
        received_at=NOW,
    )


def completed(*instances: NewInstance, **values: Any) -> CompletedSeries:
    """Return a complete series, by default with three instances."""
    series = CompletedSeries(
        study_instance_uid=STUDY,
        series_instance_uid=SERIES,
        instances=instances or tuple(instance(n) for n in range(3)),
        facts=SeriesFacts(patient_id="P1", study_date=NOW.date(), kvp=120.0),
        completed_by="quiet",
        calling_ae_title="CT_01",
        spool_mtime_ns=1,
    )
    return replace(series, **values)


def changed(content: str = "b") -> CompletedSeries:
    """Return the series of ``completed`` with other content of one instance."""
    return completed(instance(0), instance(1, content=content), instance(2))


def register(
    sessions: Sessions, series: CompletedSeries | None = None, *, now: datetime = NOW
) -> Registered:
    """Register a series in its own transaction."""
    with sessions.begin() as session:
        return register_revision(session, series or completed(), now=now, actor="storescp")


def lease(sessions: Sessions, series_id: int, *, now: datetime = NOW, by: str = "w1") -> Lease:
    """Lease a due series for 60 s in its own transaction."""
    with sessions.begin() as session:
        taken = lease_series(session, series_id, leased_by=by, now=now, lease_seconds=60)
    assert taken is not None
    return taken


def screening(**values: Any) -> NewScreening:
    """Return the result of a run."""
    new = NewScreening(
        orientation="coronal",
        grade="osteopenia",
        model_name="compact",
        model_version="1",
        model_modality="image",
        model_training_data="simulated",
        model_sha256="ab" * 32,
        result={"grade": "osteopenia"},
        warnings=("no demographics",),
        timings_ms={"load": 12.5},
    )
    return replace(new, **values)


HIPS = (
    NewHip("R", "graded", grade="osteopenia", probability_osteopenia=0.7, neck_hu=110.0),
    NewHip("L", "not_assessable", reason_code="METAL", reason_text="metal at the hip"),
)


def objects(revision: int = 1) -> tuple[NewObject, ...]:
    """Return SR and SC of a revision."""
    return tuple(
        NewObject(
            role=role,  # type: ignore[arg-type]
            sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
            sop_instance_uid=f"2.25.{revision}{number}",
            series_instance_uid=f"2.25.9{revision}{number}",
            path=f"results/{STUDY}/{SERIES}/r{revision}/{role}.dcm",
        )
        for number, role in enumerate(("sr", "sc"))
    )


def save(
    sessions: Sessions,
    held: Lease,
    *destinations: str,
    now: datetime = NOW,
    result: NewScreening | None = None,
    made: tuple[NewObject, ...] | None = None,
) -> SeriesState:
    """Save the result of a run in its own transaction."""
    made = made or objects(held.revision)
    with sessions.begin() as session:
        new = NewResult(result or screening(), HIPS, made, destinations)
        return save_screening(session, held, new, now=now)


def fail(sessions: Sessions, held: Lease, *, now: float = 0) -> SeriesState:
    """End a run by an error, with a retry after 30 s, in its own transaction."""
    with sessions.begin() as session:
        exhausted = finish_failed(
            session,
            held,
            error="MemoryError",
            now=after(now),
            max_attempts=MAX_ATTEMPTS,
            retry_after=timedelta(seconds=30),
        )
    return SeriesState.FAILED if exhausted else SeriesState.QUEUED


def due_ids(sessions: Sessions, seconds: float = 0) -> list[int]:
    """Return the IDs of the series that are due ``seconds`` after ``NOW``."""
    with sessions() as session:
        return due_series(session, now=after(seconds), limit=100)


def screened(sessions: Sessions, *destinations: str) -> tuple[int, int]:
    """Register, lease and save a series; return its ID and that of the screening."""
    series_id = register(sessions).series_id
    held = lease(sessions, series_id)
    save(sessions, held, *destinations)
    return series_id, held.screening_id


def claim(
    sessions: Sessions, screening_id: int, destination: str = "pacs", *, at: float = 0
) -> tuple[Claim, ...]:
    """Claim the due objects of a screening in its own transaction."""
    with sessions.begin() as session:
        return claim_deliveries(
            session,
            DueDelivery(screening_id, destination),
            leased_by="w1",
            now=after(at),
            lease_seconds=60,
        )


def send(sessions: Sessions, claims: tuple[Claim, ...], at: float = 1) -> None:
    """Mark claimed objects as sent, each in its own transaction."""
    for one in claims:
        with sessions.begin() as session:
            assert mark_sent(session, one, status="0x0000", now=after(at))


def read_series(sessions: Sessions, series_id: int) -> Series:
    """Return the committed row."""
    with sessions() as session:
        return session.get_one(Series, series_id)


def moves(sessions: Sessions, series_id: int) -> list[tuple[str, str | None, str | None, str]]:
    """Return the events of a series: what, before, after, actor."""
    with sessions() as session:
        rows = session.scalars(
            select(Event).where(Event.series_id == series_id).order_by(Event.id)
        )
        return [(row.what, row.before, row.after, row.actor) for row in rows]


def newest_run(sessions: Sessions) -> Screening:
    """Return the committed row of the run that began last."""
    with sessions() as session:
        return session.query(Screening).order_by(Screening.id.desc()).limit(1).one()


def deliveries(sessions: Sessions) -> list[tuple[str, DeliveryState]]:
    """Return destination and state of every delivery."""
    with sessions() as session:
        rows = session.query(Delivery).order_by(Delivery.id)
        return [(row.destination, row.state) for row in rows]
