"""What the review page lists: series page by page, filtered, found by an identifier."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, select, true, tuple_
from sqlalchemy.orm import Session, aliased, load_only

from db.models import Hip, Screening, Series
from db.states import RunOutcome, SeriesState

Grade = Literal["normal", "osteopenia", "osteoporosis"]
FIND_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed to; days are days of receipt (local), ``until`` included."""

    state: SeriesState | None = None
    grade: Grade | None = None
    reason: str | None = None
    manufacturer: str | None = None
    scanner_model: str | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page of the list ended."""

    created_at: datetime
    series_id: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A series with its newest result; none while it has no result yet."""

    series: Series
    screening: Screening | None
    hips: Sequence[Hip]


def list_series(
    session: Session, filters: Filters, *, limit: int, after: Position | None = None
) -> list[Listed]:
    """The series received last, newest first; ``after`` : go on behind that one.

    By an index and a key, so that the last page costs what the first does.
    """
    newest = newest_result()
    statement = _with_result(newest, required=filters.grade is not None)
    if after is not None:
        key = tuple_(Series.created_at, Series.id)
        statement = statement.where(key < (after.created_at, after.series_id))
    if filters.grade is not None:
        statement = statement.where(newest.grade == filters.grade)
    return _listed(session, statement.where(*_conditions(filters)), limit)


def find_series(session: Session, identifier: str) -> list[Listed]:
    """The series whose study or series UID, accession number or patient ID this is."""
    ids: set[int] = set()
    for column in (
        Series.series_instance_uid,
        Series.study_instance_uid,
        Series.accession_number,
        Series.patient_id,
    ):
        ids.update(
            session.scalars(select(Series.id).where(column == identifier).limit(FIND_LIMIT))
        )
    statement = _with_result(newest_result(), required=False).where(Series.id.in_(ids))
    return _listed(session, statement, FIND_LIMIT)


def other_series_of_patient(
    session: Session, series: Series, *, limit: int
) -> Sequence[Series]:
    """Same Patient ID and issuer, newest study first; none without a Patient ID."""
    if not series.patient_id:
        return ()
    return session.scalars(
        select(Series)
        .where(
            Series.patient_id == series.patient_id,
            Series.issuer_of_patient_id.is_not_distinct_from(series.issuer_of_patient_id),
            Series.id != series.id,
        )
        .order_by(Series.study_date.desc().nulls_last(), Series.id.desc())
        .limit(limit)
    ).all()


def list_scanners(session: Session) -> list[tuple[str | None, str | None]]:
    """Manufacturer and model of every scanner on record.

    Jumps from one to the next in the index, which costs a look-up a scanner and not one a
    series.
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


def hips_of(session: Session, screening_ids: Iterable[int]) -> Mapping[int, list[Hip]]:
    """The hips of each screening, right before left."""
    hips: dict[int, list[Hip]] = {}
    statement = select(Hip).where(Hip.screening_id.in_(list(screening_ids)))
    for hip in session.scalars(statement.order_by(Hip.screening_id, Hip.side.desc())):
        hips.setdefault(hip.screening_id, []).append(hip)
    return hips


def newest_result() -> type[Screening]:
    """The newest finished run of each series, to be joined laterally."""
    newest = (
        select(Screening)
        .where(
            Screening.series_id == Series.id,
            Screening.outcome.in_((RunOutcome.SCREENED, RunOutcome.REJECTED)),
        )
        .order_by(Screening.id.desc())
        .limit(1)
        .lateral()
    )
    return aliased(Screening, newest)


def _with_result(newest: type[Screening], *, required: bool) -> "Select[Any, Any]":
    # Not the whole result, which is some kilobytes of JSON a row.
    columns = (
        Screening.id,
        Screening.series_id,
        Screening.revision,
        Screening.outcome,
        Screening.grade,
        Screening.model_name,
        Screening.model_version,
        Screening.model_training_data,
    )
    wanted = [getattr(newest, column.key) for column in columns]
    return (
        select(Series, newest)
        .join(newest, onclause=true(), isouter=not required)
        .options(load_only(*wanted, raiseload=True))
    )


def _listed(session: Session, statement: "Select[Any, Any]", limit: int) -> list[Listed]:
    ordered = statement.order_by(Series.created_at.desc(), Series.id.desc()).limit(limit)
    rows = session.execute(ordered).all()
    hips = hips_of(session, [run.id for _, run in rows if run is not None])
    return [Listed(series, run, hips.get(run.id, []) if run else []) for series, run in rows]


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [
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
        wanted.append(Series.created_at >= _midnight(filters.since))
    if filters.until is not None:
        wanted.append(Series.created_at < _midnight(filters.until + timedelta(days=1)))
    return wanted


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day).astimezone()
