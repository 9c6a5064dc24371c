"""Studies with one result in the database of a test; times are relative to ``NOW``."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from db.completed_series import ArrivingSeries, Registered
from db.models import Series, Study
from db.outbox import NewResult, NewScreening
from db.registration import open_series, register_revision
from db.runs import StudyLease
from db.states import ResultPer, SeriesState, StudyState
from db.studies import complete_studies
from db.study_leases import lease_study
from db.study_results import SeriesEnd, save_study
from db.study_series import run_series
from db.transition import ChangedBy
from tests.support.record import (
    HIPS,
    STUDY,
    Sessions,
    after,
    completed,
    instance,
    objects,
)
from tests.support.record import screening as new_screening

QUIET_SECONDS = 60.0
COUNTED_QUIET_SECONDS = 10.0
SCP = "storescp"
FOLDER = "results/1.2.3/r1"


def add(
    sessions: Sessions, number: int, *, at: float = 0, content: str = "a", **values: Any
) -> Registered:
    """Register series ``number`` of the study, whose instances arrived at ``at``."""
    instances = tuple(
        replace(instance(n, content=content), received_at=after(at)) for n in range(3)
    )
    series = completed(*instances, series_instance_uid=f"1.2.3.{number}", **values)
    with sessions.begin() as session:
        return register_revision(
            session, series, now=after(at), actor=SCP, result_per=ResultPer.STUDY
        )


def arrive(sessions: Sessions, number: int, *, at: float = 0) -> None:
    """Record that instances of series ``number`` arrive."""
    with sessions.begin() as session:
        open_series(
            session,
            ArrivingSeries(STUDY, f"1.2.3.{number}", None),
            now=after(at),
            actor=SCP,
            result_per=ResultPer.STUDY,
        )


def complete(
    sessions: Sessions,
    at: float,
    *,
    pending: Collection[str] = (),
    sending: Collection[str] = (),
) -> list[int]:
    """Return the IDs of the studies that became due."""
    with sessions.begin() as session:
        found = complete_studies(
            session,
            quiet_seconds=QUIET_SECONDS,
            counted_quiet_seconds=COUNTED_QUIET_SECONDS,
            pending=pending,
            sending=sending,
            by=ChangedBy(SCP, after(at)),
        )
        return [study.id for study in found]


def take(sessions: Sessions, study_id: int, *, at: float = 0, by: str = "w1") -> StudyLease:
    """Lease a due study for 60 s."""
    with sessions.begin() as session:
        taken = lease_study(session, study_id, leased_by=by, now=after(at), lease_seconds=60)
    assert taken is not None
    return taken


def due(sessions: Sessions, *numbers: int) -> int:
    """Register series and complete their study; return its ID."""
    for number in numbers:
        add(sessions, number)
    (study_id,) = complete(sessions, QUIET_SECONDS)
    return study_id


def ends(sessions: Sessions, held: StudyLease) -> list[SeriesEnd]:
    """Return ends in which the first series is used and the others are not selected."""
    with sessions.begin() as session:
        series = run_series(session, held.study_id)
    return [
        SeriesEnd(one, SeriesState.SCREENED, 1, is_used=True)
        if place == 1
        else SeriesEnd(one, SeriesState.NOT_SELECTED, place, "NOT_SELECTED", "Series 1.")
        for place, one in enumerate(series, 1)
    ]


def save(
    sessions: Sessions,
    held: StudyLease,
    found: list[SeriesEnd],
    *destinations: str,
    at: float = 100,
    screening: NewScreening | None = None,
) -> None:
    """End a run with a result from the first series."""
    hips = [replace(hip, series_id=found[0].series.series_id) for hip in HIPS]
    with sessions.begin() as session:
        save_study(
            session,
            held,
            found,
            found[0].series,
            NewResult(
                screening or new_screening(),
                hips,
                objects(held.screening_id),
                destinations,
                folder=FOLDER,
            ),
            now=after(at),
        )


def read_study(sessions: Sessions) -> Study:
    """Return the committed row of the study."""
    with sessions() as session:
        return session.query(Study).filter_by(study_instance_uid=STUDY).one()


def state(sessions: Sessions) -> StudyState | None:
    """Return the committed state of the study."""
    return read_study(sessions).state


def series_states(sessions: Sessions) -> dict[str, SeriesState]:
    """Return the committed states of the series by the number of each."""
    with sessions() as session:
        rows = session.query(Series).order_by(Series.id)
        return {row.series_instance_uid.rsplit(".", 1)[1]: row.state for row in rows}
