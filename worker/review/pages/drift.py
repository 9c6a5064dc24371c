"""Drift of grades, probabilities, attenuation and rejections over time."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from db.access_log import record_access
from db.drift import Group, Quartiles, drift
from worker.review.accuracy import SMALL_SAMPLE
from worker.review.charts import (
    StackedBar,
    ValueRange,
    axis_limits,
    stacked_shares,
    value_ranges,
)
from worker.review.clock import now
from worker.review.dependencies import CurrentUser
from worker.review.labels import GRADES
from worker.review.rendering import render
from worker.review.state import CurrentState

router = APIRouter()
WEEKS = (13, 26, 52)
GRADE_CLASSES = {name: f"fill-{name}" for name in GRADES}
PROBABILITY_LIMITS = (0.0, 1.0)
COLORS = 8


@router.get("/drift")
def show_drift(
    request: Request, app_state: CurrentState, user: CurrentUser, weeks: int = 26
) -> Response:
    """Show charts by week, and tables by week, scanner, kernel and tube voltage."""
    weeks = weeks if weeks in WEEKS else 26
    with app_state.sessions.begin() as session:
        found = drift(session, since=now() - timedelta(weeks=weeks))
        record_access(session, user.audit_actor, "drift", now=now())
    reasons = sorted({reason for group in found.week for reason in group.reasons})
    reason_classes = {name: f"series-{i % COLORS}" for i, name in enumerate(reasons)}
    return render(
        request,
        "drift.html",
        weeks=weeks,
        choices=WEEKS,
        small_sample=SMALL_SAMPLE,
        tables=(
            ("Week", found.week),
            ("Scanner", found.scanner),
            ("Kernel", found.kernel),
            ("Tube voltage", found.voltage),
        ),
        grade_chart=_grade_chart(found.week),
        grade_classes=GRADE_CLASSES,
        reason_chart=_reason_chart(found.week, reason_classes),
        reason_classes=reason_classes,
        l1_chart=_l1_chart(found.week),
        neck_chart=_neck_chart(found.week),
        probability_chart=_probability_chart(found.week),
    )


def _grade_chart(groups: Iterable[Group]) -> Markup | None:
    bars = [StackedBar(group.name, group.grades) for group in groups if group.graded]
    title = "Share of each grade among graded series, by week"
    return stacked_shares(bars, GRADE_CLASSES, title) if bars else None


def _reason_chart(groups: Iterable[Group], classes: Mapping[str, str]) -> Markup | None:
    bars = [StackedBar(group.name, group.reasons) for group in groups if group.rejected]
    title = "Share of each reason among rejected series, by week"
    return stacked_shares(bars, classes, title) if bars else None


def _l1_chart(groups: Iterable[Group]) -> Markup | None:
    ranges = _ranges((group.name, group.l1_hu) for group in groups)
    title = "Attenuation of L1 in HU by week: median and quartiles"
    return value_ranges(ranges, axis_limits(ranges, step=20.0), title) if ranges else None


def _neck_chart(groups: Iterable[Group]) -> Markup | None:
    ranges = _ranges((group.name, group.neck_hu) for group in groups)
    title = "Attenuation of the femoral neck in HU by week: median and quartiles"
    return value_ranges(ranges, axis_limits(ranges, step=20.0), title) if ranges else None


def _probability_chart(groups: Iterable[Group]) -> Markup | None:
    ranges = _ranges((group.name, group.probability) for group in groups)
    title = "Probability of osteoporosis by week: median and quartiles"
    return value_ranges(ranges, PROBABILITY_LIMITS, title) if ranges else None


def _ranges(named: Iterable[tuple[str, Quartiles | None]]) -> Sequence[ValueRange]:
    return [ValueRange(name, one.low, one.median, one.high) for name, one in named if one]
