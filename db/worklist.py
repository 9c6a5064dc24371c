"""Series of the review page: list, filter and export them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, select, true, tuple_
from sqlalchemy.orm import Session, aliased

from db.feedback import feedback_on
from db.models import Feedback, HipResult, Screening, Series
from db.results import hips_of, lumbar_hu_of, newest_result, only_listed
from db.states import SeriesState

Grade = Literal["normal", "osteopenia", "osteoporosis"]
EXPORT_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters of the list; days are local days of receipt, ``until`` is included."""

    state: SeriesState | None = None
    grade: Grade | None = None
    reason: str | None = None
    manufacturer: str | None = None
    scanner_model: str | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Key of the last series on a page."""

    created_at: datetime
    series_id: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A series with its newest result, if there is one.

    ``lumbar_hu`` : attenuation of each measured lumbar vertebra, read for exports only.
    """

    series: Series
    screening: Screening | None
    hips: Sequence[HipResult]
    lumbar_hu: Mapping[str, float] = field(default_factory=dict)


def list_series(
    session: Session, filters: Filters, *, limit: int, after: Position | None = None
) -> list[Listed]:
    """Return the most recently received series, newest first, behind ``after``.

    Pages by key and index (keyset pagination): the last page costs as much as the first.
    """
    newest = _newest_result()
    statement = _with_result(newest, required=filters.grade is not None)
    if after is not None:
        key = tuple_(Series.created_at, Series.id)
        statement = statement.where(key < (after.created_at, after.series_id))
    if filters.grade is not None:
        statement = statement.where(newest.grade == filters.grade)
    return _listed(session, statement.where(*_conditions(filters)), limit)


def other_series_of_patient(
    session: Session, series: Series, *, limit: int
) -> Sequence[Series]:
    """Return series of other studies with the same Patient ID and issuer, newest first."""
    if not series.patient_id:
        return ()
    return session.scalars(
        select(Series)
        .where(
            Series.patient_id == series.patient_id,
            Series.issuer_of_patient_id.is_not_distinct_from(series.issuer_of_patient_id),
            Series.study_id != series.study_id,
        )
        .order_by(Series.study_date.desc().nulls_last(), Series.id.desc())
        .limit(limit)
    ).all()


def list_scanners(session: Session) -> list[tuple[str | None, str | None]]:
    """Return manufacturer and model of every scanner.

    A loose index scan: the cost is one look-up per scanner, not one per series.
    """
    key = tuple_(Series.manufacturer, Series.manufacturer_model_name)
    named = select(Series.manufacturer, Series.manufacturer_model_name).where(
        Series.manufacturer.is_not(None), Series.manufacturer_model_name.is_not(None)
    )
    order = (Series.manufacturer, Series.manufacturer_model_name)
    scanners: list[tuple[str | None, str | None]] = []
    row = session.execute(named.order_by(*order).limit(1)).one_or_none()
    while row is not None:
        scanners.append((row[0], row[1]))
        following = named.where(key > (row[0], row[1])).order_by(*order).limit(1)
        row = session.execute(following).one_or_none()
    return scanners


def all_series(
    session: Session,
) -> Iterator[tuple[Listed, Mapping[str, Sequence[Feedback]]]]:
    """Yield every series with its newest result and its feedback by side, in chunks."""
    position: Position | None = None
    while chunk := list_series(session, Filters(), limit=EXPORT_CHUNK, after=position):
        ids = [listed.screening.id for listed in chunk if listed.screening is not None]
        by_screening: dict[int, dict[str, list[Feedback]]] = {}
        for row in feedback_on(session, ids):
            by_side = by_screening.setdefault(row.screening_id, {})
            by_side.setdefault(row.side, []).append(row)
        lumbar_hu = lumbar_hu_of(session, ids)
        for listed in chunk:
            run = listed.screening
            listed = replace(listed, lumbar_hu=lumbar_hu.get(run.id, {}) if run else {})
            yield listed, by_screening.get(run.id, {}) if run is not None else {}
        last = chunk[-1].series
        position = Position(last.created_at, last.id)
        session.expunge_all()


def _newest_result() -> type[Screening]:
    return aliased(Screening, newest_result(Series.id).lateral())


def _with_result(newest: type[Screening], *, required: bool) -> "Select[Any, Any]":
    return (
        select(Series, newest)
        .join(newest, onclause=true(), isouter=not required)
        .options(only_listed(newest))
    )


def _listed(session: Session, statement: "Select[Any, Any]", limit: int) -> list[Listed]:
    ordered = statement.order_by(Series.created_at.desc(), Series.id.desc()).limit(limit)
    rows = session.execute(ordered).all()
    hips = hips_of(session, [run.id for _, run in rows if run is not None])
    return [Listed(series, run, hips.get(run.id, []) if run else []) for series, run in rows]


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        column == value
        for column, value in (
            (Series.state, filters.state),
            (Series.reason_code, filters.reason),
            (Series.manufacturer, filters.manufacturer),
            (Series.manufacturer_model_name, filters.scanner_model),
        )
        if value is not None
    ]
    if filters.since is not None:
        conditions.append(Series.created_at >= midnight(filters.since))
    if filters.until is not None:
        conditions.append(Series.created_at < next_midnight(filters.until))
    return conditions


def midnight(day: date) -> datetime:
    """Return the start of a local day."""
    return datetime(day.year, day.month, day.day).astimezone()


def next_midnight(day: date) -> datetime:
    """Return the end of a local day."""
    return midnight(day + timedelta(days=1))
