"""Worklist by study: list, filter and find studies with their series and newest result."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, or_, select, true
from sqlalchemy.orm import Session, aliased

from db.models import HipResult, Screening, Series, Study
from db.results import RESULTS, hips_of, only_listed
from db.states import RunOutcome, SeriesState, StudyState
from db.worklist import Filters, midnight, next_midnight

FIND_LIMIT = 100
AnyState = StudyState | SeriesState


@dataclass(frozen=True, slots=True)
class ListedStudy:
    """A study with its series, the best first, and its newest result, if there is one.

    ``screening`` : of a study with a result a series, the newest result of any of them, a
    graded one first.
    """

    study: Study
    series: Sequence[Series]
    screening: Screening | None
    hips: Sequence[HipResult]

    @property
    def main(self) -> Series | None:
        """The series of the result, otherwise the best one; None if none has arrived."""
        of_run = None if self.screening is None else self.screening.series_id
        return next(
            (one for one in self.series if one.id == of_run), next(iter(self.series), None)
        )

    @property
    def used_for(self) -> Mapping[int, list[str]]:
        """Sides that the current result takes from each series, by its ID.

        The lumbar spine where the result grades no hip.
        """
        run = self.screening
        if run is not None and run.outcome is RunOutcome.SCREENED and run.grade is None:
            return {run.series_id: ["lumbar spine"]}
        sides: defaultdict[int, list[str]] = defaultdict(list)
        for hip in self.hips:
            if self.screening is not None:
                sides[hip.series_id or self.screening.series_id].append(hip.side)
        return sides


def list_studies(
    session: Session,
    filters: Filters,
    *,
    state: AnyState | None = None,
    limit: int,
    before: int | None = None,
) -> list[ListedStudy]:
    """Return the studies received last, newest first, with an ID below ``before``.

    Pages by the primary key, whose order is that of the first arrivals: the last page costs as
    much as the first.
    """
    newest = _newest_run()
    statement = _with_run(newest, required=filters.grade is not None)
    if before is not None:
        statement = statement.where(Study.id < before)
    if filters.grade is not None:
        # The condition on all runs is answered once, that on the newest for each match.
        graded = (
            select(Series.study_id)
            .join(Screening, Screening.series_id == Series.id)
            .where(Screening.grade == filters.grade)
        )
        statement = statement.where(Study.id.in_(graded), newest.grade == filters.grade)
    return _listed(session, statement.where(*_conditions(filters, state)), limit)


def find_studies(session: Session, identifier: str) -> list[ListedStudy]:
    """Return the studies with this study or series UID, accession number or patient ID.

    The newest ``FIND_LIMIT`` are returned, newest first.
    """
    ids: set[int] = set()
    for column in (
        Series.series_instance_uid,
        Series.study_instance_uid,
        Series.accession_number,
        Series.patient_id,
    ):
        ids.update(
            session.scalars(
                select(Series.study_id)
                .where(column == identifier)
                .distinct()
                .order_by(Series.study_id.desc())
                .limit(FIND_LIMIT)
            )
        )
    statement = _with_run(_newest_run(), required=False).where(Study.id.in_(ids))
    return _listed(session, statement, FIND_LIMIT)


def study_of(session: Session, study_id: int) -> ListedStudy:
    """Return one study that is on record."""
    (listed,) = _listed(
        session, _with_run(_newest_run(), required=False).where(Study.id == study_id), 1
    )
    return listed


def _newest_run() -> type[Screening]:
    """Return the newest result of each study, for a query that selects from ``Study``."""
    # Of a study with a result a series, a graded series counts before a rejected one.
    of_graded_series = and_(
        Screening.study_id.is_(None), Screening.outcome == RunOutcome.SCREENED
    )
    newest = (
        select(Screening)
        .join(Series, Series.id == Screening.series_id)
        .where(Series.study_id == Study.id, Screening.outcome.in_(RESULTS))
        .order_by(case((of_graded_series, 1), else_=0).desc(), Screening.id.desc())
        .limit(1)
    )
    return aliased(Screening, newest.correlate(Study).lateral())


def _with_run(newest: type[Screening], *, required: bool) -> "Select[Any, Any]":
    return (
        select(Study, newest)
        .join(newest, onclause=true(), isouter=not required)
        .options(only_listed(newest))
    )


def _listed(session: Session, statement: "Select[Any, Any]", limit: int) -> list[ListedStudy]:
    rows = session.execute(statement.order_by(Study.id.desc()).limit(limit)).all()
    series = _series_of(session, [study.id for study, _ in rows])
    hips = hips_of(session, [run.id for _, run in rows if run is not None])
    return [
        ListedStudy(study, series[study.id], run, hips.get(run.id, []) if run else [])
        for study, run in rows
    ]


def _series_of(session: Session, study_ids: Collection[int]) -> Mapping[int, list[Series]]:
    found: defaultdict[int, list[Series]] = defaultdict(list)
    for series in session.scalars(
        select(Series)
        .where(Series.study_id.in_(study_ids))
        .order_by(Series.rank.nulls_last(), Series.series_number, Series.id)
    ):
        found[series.study_id].append(series)
    return found


def _conditions(filters: Filters, state: AnyState | None) -> Iterable[ColumnElement[bool]]:
    if state is not None:
        yield _in_state(state)
    if filters.reason is not None:
        yield or_(
            Study.reason_code == filters.reason,
            and_(Study.state.is_(None), _any_series(Series.reason_code == filters.reason)),
        )
    scanner = [
        column == value
        for column, value in (
            (Series.manufacturer, filters.manufacturer),
            (Series.manufacturer_model_name, filters.scanner_model),
        )
        if value is not None
    ]
    if scanner:
        yield _any_series(*scanner)
    if filters.since is not None:
        yield Study.created_at >= midnight(filters.since)
    if filters.until is not None:
        yield Study.created_at < next_midnight(filters.until)


def _in_state(state: AnyState) -> ColumnElement[bool]:
    """Return whether a study is in a state, or any of its series is where it has none.

    The state of a study with one result is that of the study where both have one of the name.
    """
    of_series = _any_series(Series.state == state.value)
    if state.value not in set(StudyState):
        return of_series
    return or_(Study.state == state.value, and_(Study.state.is_(None), of_series))


def _any_series(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return Study.id.in_(select(Series.study_id).where(*conditions))
