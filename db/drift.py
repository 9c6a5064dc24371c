"""Statistics of results by week, scanner, kernel and tube voltage, to detect drift."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Select,
    SQLColumnExpression,
    cast,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.orm import Session, aliased

from db.models import HipResult, Screening, Series
from db.results import newest_result
from db.states import WITH_RESULT, RunOutcome

QUANTILES = (0.25, 0.5, 0.75)
DIMENSIONS = ("week", "scanner", "kernel", "voltage")
GROUPING_MASKS = (0b0111, 0b1011, 0b1101, 0b1110)
"""Value of GROUPING for each dimension: a set bit for each column that is not grouped by."""
L1_HU = '$.measurements[*] ? (@.site == "L1" && @.mean_hu != null).mean_hu'
"""Path in the entry of ``result.json`` of a run."""
NO_MODEL = "NO_MODEL"
"""Reason of a hip that is measured where no model is installed."""


@dataclass(frozen=True, slots=True)
class Quartiles:
    """Quartiles of ``count`` values."""

    count: int
    low: float
    median: float
    high: float


@dataclass(slots=True)
class Group:
    """Results of one week, scanner, kernel or voltage.

    Counts of series, quartiles over hips, and over series of the attenuation of L1.
    """

    name: str
    grades: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    measured: int = 0
    """Number of series whose lumbar spine is measured and in which no hip is graded."""
    l1_hu: Quartiles | None = None
    neck_hu: Quartiles | None = None
    probability: Quartiles | None = None
    """Probability of osteoporosis."""

    @property
    def graded(self) -> int:
        """Number of graded series."""
        return sum(self.grades.values())

    @property
    def rejected(self) -> int:
        """Number of rejected series."""
        return sum(self.reasons.values())


@dataclass(frozen=True, slots=True)
class Drift:
    """Groups of each dimension, sorted by name; a week is named after its Monday."""

    week: Sequence[Group]
    scanner: Sequence[Group]
    kernel: Sequence[Group]
    voltage: Sequence[Group]


def drift(session: Session, *, since: datetime) -> Drift:
    """Return the statistics of finished series received since ``since``."""
    groups: dict[tuple[str, str], Group] = {}

    def group(row: Any) -> Group:
        dimension = DIMENSIONS[GROUPING_MASKS.index(row.grouping)]
        key = (dimension, getattr(row, dimension))
        return groups.setdefault(key, Group(key[1]))

    for row in session.execute(_series_counts(since)):
        _count(group(row), row)
    for row in session.execute(_spine_quartiles(since)):
        group(row).l1_hu = _quartiles(row.l1_hu_count, row.l1_hu)
    for row in session.execute(_hip_quartiles(since)):
        values = group(row)
        values.neck_hu = _quartiles(row.neck_hu_count, row.neck_hu)
        values.probability = _quartiles(row.probability_count, row.probability)
    by_dimension = {
        dimension: [groups[key] for key in sorted(groups) if key[0] == dimension]
        for dimension in DIMENSIONS
    }
    return Drift(**by_dimension)


def _count(group: Group, row: Any) -> None:
    if row.grade is None and row.outcome is RunOutcome.SCREENED:
        group.measured += row.series
        return
    counted = group.reasons if row.grade is None else group.grades
    name = row.reason_code or "unknown" if row.grade is None else row.grade
    counted[name] = counted.get(name, 0) + row.series


def _series_counts(since: datetime) -> Select[Any]:
    base = _results(since).subquery()
    columns = [base.c[dimension] for dimension in DIMENSIONS]
    return select(
        func.grouping(*columns).label("grouping"),
        *columns,
        base.c.outcome,
        base.c.grade,
        base.c.reason_code,
        func.count().label("series"),
    ).group_by(base.c.outcome, base.c.grade, base.c.reason_code, func.grouping_sets(*columns))


def _spine_quartiles(since: datetime) -> Select[Any]:
    base = _results(since).subquery()
    columns = [base.c[dimension] for dimension in DIMENSIONS]
    statement: Select[Any] = (
        select(
            func.grouping(*columns).label("grouping"),
            *columns,
            func.count(base.c.l1_hu).label("l1_hu_count"),
            _percentiles(base.c.l1_hu).label("l1_hu"),
        )
        .where(base.c.l1_hu.is_not(None))
        .group_by(func.grouping_sets(*columns))
    )
    return statement


def _percentiles(column: SQLColumnExpression[Any]) -> ColumnElement[Any]:
    return func.percentile_cont(list(QUANTILES)).within_group(column)


def _hip_quartiles(since: datetime) -> Select[Any]:
    base = _results(since).subquery()
    columns = [base.c[dimension] for dimension in DIMENSIONS]
    statement: Select[Any] = (
        select(
            func.grouping(*columns).label("grouping"),
            *columns,
            func.count(HipResult.neck_hu).label("neck_hu_count"),
            _percentiles(HipResult.neck_hu).label("neck_hu"),
            func.count(HipResult.probability_osteoporosis).label("probability_count"),
            _percentiles(HipResult.probability_osteoporosis).label("probability"),
        )
        .join(HipResult, HipResult.screening_id == base.c.screening_id)
        .where(or_(HipResult.grade.is_not(None), HipResult.reason_code == NO_MODEL))
        .group_by(func.grouping_sets(*columns))
    )
    return statement


def _results(since: datetime) -> Select[Any]:
    """Select each finished series with its groups and its newest result."""
    run = aliased(Screening, newest_result(Series.id).lateral())
    space = literal(" ")
    scanner = func.concat_ws(space, Series.manufacturer, Series.manufacturer_model_name)
    voltage = func.round(Series.kvp).op("||")(literal(" kV"))
    monday = func.date_trunc("week", Series.created_at)
    return (
        select(
            func.to_char(monday, "YYYY-MM-DD").label("week"),
            func.coalesce(func.nullif(scanner, ""), "unknown").label("scanner"),
            func.coalesce(Series.convolution_kernel, "unknown").label("kernel"),
            func.coalesce(voltage, "unknown").label("voltage"),
            _l1_hu(run.result).label("l1_hu"),
            run.outcome.label("outcome"),
            run.grade.label("grade"),
            run.reason_code.label("reason_code"),
            run.id.label("screening_id"),
        )
        .join(run, true())
        .where(Series.created_at >= since, Series.state.in_(WITH_RESULT))
    )


def _l1_hu(result: SQLColumnExpression[Any]) -> ColumnElement[float]:
    found = func.jsonb_path_query_first(result, cast(L1_HU, JSONPATH))
    return cast(found, Float)


def _quartiles(count: int, values: Sequence[float] | None) -> Quartiles | None:
    return None if not count or values is None else Quartiles(count, *values)
