"""End of a run over a study: the state of every series, the result and its deliveries.

The run has read the headers of the series that were complete at its lease (``RunSeries``). At
its end the record may hold others: ``StudyChanged`` tells the worker to rank again. The run is
superseded if the used part of the ranking is another one then.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.deliveries import lock_result, mark_delivered
from db.models import Screening, Series, Study
from db.outbox import NewResult, end_detail, insert_results, run_values
from db.runs import LeaseLost, StudyLease, close_run
from db.states import FINISHED, RunOutcome, SeriesState, StudyState
from db.study_leases import release
from db.study_series import RunSeries, StandingResult
from db.transition import ChangedBy, Transition, move_series, move_study
from db.withdrawal import Withdrawal, lock_deliveries, withdraw_all


@dataclass(frozen=True, slots=True)
class SeriesEnd:
    """The end of one series in a run over its study.

    ``state`` : screened (used for the result), rejected, not_selected or failed; None for one
    that keeps its state. ``is_used`` : the result depends on this revision of the series.
    """

    series: RunSeries
    state: SeriesState | None
    rank: int | None
    reason_code: str | None = None
    reason_text: str | None = None
    error: str | None = None
    is_used: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a study has no result. ``values`` : further columns of the run.

    ``withdrawals`` : earlier results of the study, which no longer stand.
    """

    code: str
    text: str
    values: Mapping[str, Any]
    withdrawals: Sequence[Withdrawal] = ()


class StudyChanged(RuntimeError):
    """A series was added or changed since its headers were read; leave the transaction."""


def save_study(
    session: Session,
    lease: StudyLease,
    ends: Sequence[SeriesEnd],
    best: RunSeries,
    result: NewResult,
    *,
    now: datetime,
) -> None:
    """End the run with a result, its objects and their due deliveries.

    ``best`` : the highest-ranked series of the result. Write and fsync the objects first. A
    result that is not to be delivered leaves the study ``reported``.
    Raises LeaseLost and StudyChanged.
    """
    by = ChangedBy(lease.leased_by, now)
    lock_deliveries(session, result.withdrawals)
    _end_series(session, lease, ends, by)
    values = {**run_values(result.screening), "folder": result.folder, **_of_best(best)}
    close_run(session, lease.screening_id, RunOutcome.SCREENED, now=now, **values)
    detail = end_detail(result)
    _end_study(session, lease, StudyState.REPORTED, by, detail=detail)
    insert_results(session, lease.screening_id, result, now=now)
    withdraw_all(session, result.withdrawals, by, replaced_by=lease.screening_id)
    _mark_delivered(session, lease.screening_id, by)


def save_nothing_to_report(
    session: Session,
    lease: StudyLease,
    ends: Sequence[SeriesEnd],
    best: RunSeries,
    rejection: Rejection,
    *,
    now: datetime,
) -> None:
    """End the run without a result: no series can be graded.

    ``best`` : the series whose reason is the most telling. Raises LeaseLost and StudyChanged.
    """
    by = ChangedBy(lease.leased_by, now)
    lock_deliveries(session, rejection.withdrawals)
    _end_series(session, lease, ends, by)
    reason = {"reason_code": rejection.code, "reason_text": rejection.text}
    of_run = {**rejection.values, **reason, **_of_best(best)}
    close_run(session, lease.screening_id, RunOutcome.REJECTED, now=now, **of_run)
    detail = {"reason_code": rejection.code}
    _end_study(session, lease, StudyState.NOTHING_TO_REPORT, by, values=reason, detail=detail)
    withdraw_all(session, rejection.withdrawals, by)


def save_failed(
    session: Session,
    lease: StudyLease,
    ends: Sequence[SeriesEnd],
    *,
    error: str,
    now: datetime,
    withdrawals: Sequence[Withdrawal] = (),
) -> None:
    """End the run and the study as failed: no series has an attempt left.

    ``withdrawals`` : earlier results, which no longer stand. Raises LeaseLost and StudyChanged.
    """
    by = ChangedBy(lease.leased_by, now)
    lock_deliveries(session, withdrawals)
    _end_series(session, lease, ends, by)
    close_run(session, lease.screening_id, RunOutcome.FAILED, now=now, error=error)
    values = {"error": error}
    _end_study(session, lease, StudyState.FAILED, by, values=values, detail=values)
    withdraw_all(session, withdrawals, by)


def save_unchanged(
    session: Session,
    lease: StudyLease,
    ends: Iterable[SeriesEnd],
    standing: StandingResult,
    *,
    now: datetime,
) -> None:
    """End the run with the result that the study has: its late series do not change it.

    Raises LeaseLost and StudyChanged.
    """
    by = ChangedBy(lease.leased_by, now)
    _end_series(session, lease, ends, by)
    close_run(session, lease.screening_id, RunOutcome.UNCHANGED, now=now)
    _end_study(session, lease, StudyState.REPORTED, by, detail={"result": "unchanged"})
    _mark_delivered(session, standing.screening_id, by)


def supersede(session: Session, lease: StudyLease, *, now: datetime) -> None:
    """End the run without a result: the used part of the ranking changed. Raises LeaseLost.

    The attempt does not count; the study is collecting until its series are complete.
    """
    by = ChangedBy(lease.leased_by, now)
    values = {"attempts": lease.attempt - 1, "next_attempt_at": now}
    if not release(session, lease, by, failed=False, values=values, detail=None):
        raise LeaseLost(lease.screening_id)
    close_run(session, lease.screening_id, RunOutcome.SUPERSEDED, now=now)


def _mark_delivered(session: Session, screening_id: int, by: ChangedBy) -> None:
    run, series = lock_result(session, screening_id)
    mark_delivered(session, series, run, by)


def _of_best(best: RunSeries) -> dict[str, int]:
    return {"series_id": best.series_id, "revision": best.revision}


def _end_series(
    session: Session, lease: StudyLease, ends: Iterable[SeriesEnd], by: ChangedBy
) -> None:
    """Lock study and series, check that they are those of the run, and move the series."""
    session.execute(select(Study.id).where(Study.id == lease.study_id).with_for_update())
    active = session.scalar(
        select(Screening.id).where(
            Screening.id == lease.screening_id, Screening.finished_at.is_(None)
        )
    )
    if active is None:
        raise LeaseLost(lease.screening_id)
    rows = session.scalars(
        select(Series)
        .where(Series.study_id == lease.study_id)
        .order_by(Series.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    by_id = {end.series.series_id: end for end in ends}
    if any(_has_changed(row, by_id.get(row.id)) for row in rows):
        raise StudyChanged
    for row in rows:
        if row.state is not SeriesState.RECEIVING and row.id in by_id:
            _end_one(session, row, by_id[row.id], by)


def _has_changed(row: Series, end: SeriesEnd | None) -> bool:
    """Return whether the run has not seen a series as it is, if that matters to the run.

    A series that is arriving again does not, unless the result is taken from it.
    """
    if row.state is SeriesState.RECEIVING:
        return end is not None and end.is_used
    return end is None or row.revision != end.series.revision


def _end_one(session: Session, row: Series, end: SeriesEnd, by: ChangedBy) -> None:
    """Move a series to its end; a finished one that ends the same way keeps its state."""
    row.rank = end.rank
    session.flush()
    if end.state is None or (row.state in FINISHED and _keeps_state(row.state, end.state)):
        return
    if row.state is not SeriesState.SCREENING:
        taken = Transition(row.state, SeriesState.SCREENING)
        move_series(session, Series.id == row.id, taken, by)
    move_series(
        session,
        Series.id == row.id,
        Transition(SeriesState.SCREENING, end.state),
        by,
        values={
            "reason_code": end.reason_code,
            "reason_text": end.reason_text,
            "error": end.error,
        },
        detail={"rank": end.rank, "reason_code": end.reason_code},
    )


def _keeps_state(before: SeriesState, after: SeriesState) -> bool:
    was_rejected = before is SeriesState.REJECTED and after is SeriesState.NOT_SELECTED
    return before is after or was_rejected


def _end_study(
    session: Session,
    lease: StudyLease,
    after: StudyState,
    by: ChangedBy,
    *,
    values: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    cleared = {"reason_code": None, "reason_text": None, "error": None}
    moved = move_study(
        session,
        (Study.id == lease.study_id) & Study.next_attempt_at.is_(None),
        Transition(StudyState.SCREENING, after),
        by,
        values={**cleared, **(values or {})},
        detail=detail,
    )
    if moved is None:
        raise LeaseLost(lease.screening_id)
