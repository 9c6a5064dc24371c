"""Drift: do grades, probabilities, attenuation and rejections look as they used to?"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from db.access_log import record_access
from db.drift import Group, Quartiles, drift
from worker.review.accuracy import SMALL_N
from worker.review.charts import Column, Span, limits_of, ranges, shares
from worker.review.desk import AtDesk, Visiting, now, render
from worker.review.words import GRADES

router = APIRouter()
WEEKS = (13, 26, 52)
GRADE_CLASSES = {name: f"fill-{name}" for name in GRADES}
PROBABILITY_LIMITS = (0.0, 1.0)
COLORS = 8


@router.get("/drift")
def show_drift(request: Request, desk: AtDesk, visitor: Visiting, weeks: int = 26) -> Response:
    """Charts by week; tables by week, scanner and kernel."""
    weeks = weeks if weeks in WEEKS else 26
    with desk.sessions.begin() as session:
        found = drift(session, since=now() - timedelta(weeks=weeks))
        record_access(session, visitor.looker, "drift", now=now())
    reasons = sorted({reason for group in found.week for reason in group.reasons})
    reason_classes = {name: f"series-{i % COLORS}" for i, name in enumerate(reasons)}
    return render(
        request,
        "drift.html",
        weeks=weeks,
        choices=WEEKS,
        small_n=SMALL_N,
        tables=(("Week", found.week), ("Scanner", found.scanner), ("Kernel", found.kernel)),
        grade_chart=_grades(found.week),
        grade_classes=GRADE_CLASSES,
        reason_chart=_reasons(found.week, reason_classes),
        reason_classes=reason_classes,
        neck_chart=_neck(found.week),
        probability_chart=_probability(found.week),
    )


def _grades(groups: Iterable[Group]) -> Any:
    columns = [Column(group.name, group.grades) for group in groups if group.graded]
    title = "Share of each grade among graded series, by week"
    return shares(columns, GRADE_CLASSES, title) if columns else None


def _reasons(groups: Iterable[Group], classes: dict[str, str]) -> Any:
    columns = [Column(group.name, group.reasons) for group in groups if group.rejected]
    title = "Share of each reason among rejected series, by week"
    return shares(columns, classes, title) if columns else None


def _neck(groups: Iterable[Group]) -> Any:
    spans = _spans((group.name, group.neck_hu) for group in groups)
    title = "Attenuation of the femoral neck in HU by week: median and quartiles"
    return ranges(spans, limits_of(spans, step=20.0), title) if spans else None


def _probability(groups: Iterable[Group]) -> Any:
    spans = _spans((group.name, group.probability) for group in groups)
    title = "Probability of osteoporosis by week: median and quartiles"
    return ranges(spans, PROBABILITY_LIMITS, title) if spans else None


def _spans(named: Iterable[tuple[str, Quartiles | None]]) -> Sequence[Span]:
    return [Span(name, one.low, one.median, one.high) for name, one in named if one]
