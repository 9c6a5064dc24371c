"""What results look like over time and from scanner to scanner."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    SQLColumnExpression,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.orm import Session

from db.models import Hip, Series
from db.states import SeriesState
from db.worklist import newest_result

FINISHED = (SeriesState.SCREENED, SeriesState.DELIVERED, SeriesState.REJECTED)
QUANTILES = (0.25, 0.5, 0.75)
DIMENSIONS = ("week", "scanner", "kernel")


@dataclass(frozen=True, slots=True)
class Quartiles:
    """Of ``count`` hips."""

    count: int
    low: float
    median: float
    high: float


@dataclass(slots=True)
class Group:
    """The results of one week, scanner or kernel."""

    name: str
    grades: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    neck_hu: Quartiles | None = None
    probability: Quartiles | None = None
    """Of osteoporosis."""

    @property
    def graded(self) -> int:
        """How many series have a grade."""
        return sum(self.grades.values())

    @property
    def rejected(self) -> int:
        """How many series were rejected."""
        return sum(self.reasons.values())


@dataclass(frozen=True, slots=True)
class Drift:
    """Groups sorted by name; a week is named by its Monday."""

    week: Sequence[Group]
    scanner: Sequence[Group]
    kernel: Sequence[Group]


def drift(session: Session, *, since: datetime) -> Drift:
    """The finished series that were received since then."""
    groups: dict[tuple[str, str], Group] = {}

    def group(row: Any) -> Group:
        dimension = DIMENSIONS[SETS.index(row.grouping)]
        key = (dimension, getattr(row, dimension))
        return groups.setdefault(key, Group(key[1]))

    for row in session.execute(_counts(since)):
        counted = group(row).reasons if row.grade is None else group(row).grades
        name = row.reason_code or "unknown" if row.grade is None else row.grade
        counted[name] = counted.get(name, 0) + row.series
    for row in session.execute(_spreads(since)):
        one = group(row)
        one.neck_hu = _quartiles(row.necks, row.neck_hu)
        one.probability = _quartiles(row.chances, row.probability)
    sides = {
        dimension: [groups[key] for key in sorted(groups) if key[0] == dimension]
        for dimension in DIMENSIONS
    }
    return Drift(**sides)


SETS = (0b011, 0b101, 0b110)
"""What GROUPING says of a row: a bit for each column that is not grouped by."""


def _counts(since: datetime) -> Select[Any]:
    base = _results(since).subquery()
    columns = (base.c.week, base.c.scanner, base.c.kernel)
    return select(
        func.grouping(*columns).label("grouping"),
        *columns,
        base.c.grade,
        base.c.reason_code,
        func.count().label("series"),
    ).group_by(base.c.grade, base.c.reason_code, func.grouping_sets(*columns))


def _spreads(since: datetime) -> Select[Any]:
    base = _results(since).subquery()
    columns = (base.c.week, base.c.scanner, base.c.kernel)

    def quartiles(column: SQLColumnExpression[Any]) -> ColumnElement[Any]:
        return func.percentile_cont(list(QUANTILES)).within_group(column)

    spreads: Select[Any] = (
        select(
            func.grouping(*columns).label("grouping"),
            *columns,
            func.count(Hip.neck_hu).label("necks"),
            quartiles(Hip.neck_hu).label("neck_hu"),
            func.count(Hip.probability_osteoporosis).label("chances"),
            quartiles(Hip.probability_osteoporosis).label("probability"),
        )
        .join(Hip, Hip.screening_id == base.c.screening_id)
        .where(Hip.grade.is_not(None))
        .group_by(func.grouping_sets(*columns))
    )
    return spreads


def _results(since: datetime) -> Select[Any]:
    """A row for each finished series: its groups and its newest result."""
    run = newest_result()
    space = literal(" ")
    scanner = func.concat_ws(space, Series.manufacturer, Series.manufacturer_model_name)
    monday = func.date_trunc("week", Series.created_at)
    return (
        select(
            func.to_char(monday, "YYYY-MM-DD").label("week"),
            func.coalesce(func.nullif(scanner, ""), "unknown").label("scanner"),
            func.coalesce(Series.convolution_kernel, "unknown").label("kernel"),
            run.grade.label("grade"),
            run.reason_code.label("reason_code"),
            run.id.label("screening_id"),
        )
        .join(run, true())
        .where(Series.created_at >= since, Series.state.in_(FINISHED))
    )


def _quartiles(count: int, values: Sequence[float] | None) -> Quartiles | None:
    return None if not count or values is None else Quartiles(count, *values)
