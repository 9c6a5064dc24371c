"""Covered: which late series reopen a report, and the ends of those that do not. Pure."""

from datetime import UTC, datetime, timedelta

import pytest

from db.states import SeriesState
from db.study_series import RunSeries, StandingResult
from worker.pipeline.ranking.rank import Ranking, rank_facts
from worker.pipeline.ranking.series_facts import SeriesFacts
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.screen_study import SeriesOutcome, StudyScreening
from worker.screening.study_decisions import ends_of_same, late_ends, reopens

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BOTH = frozenset({"R", "L"})


def series(number: int, *, is_new: bool = False) -> RunSeries:
    return RunSeries(number, f"1.{number}", 1, 0, 0, NOW, is_new)


def facts(number: int, kernel: str = "soft", reason: Reason | None = None) -> SeriesFacts:
    return SeriesFacts(
        f"1.{number}",
        reason,
        number=number,
        orientation="coronal",
        thickness_mm=3.0,
        kernel=kernel,  # type: ignore[arg-type]
    )


def standing(*, sides: frozenset[str] = BOTH, hours_ago: float = 1) -> StandingResult:
    """Return a result taken from series 1."""
    return StandingResult(7, NOW - timedelta(hours=hours_ago), frozenset({1}), sides)


def reopened(ranking: Ranking, found: list[RunSeries], result: StandingResult) -> bool:
    return reopens(ranking, found, result, now=NOW, reopen_hours=24)


@pytest.mark.parametrize(("hours_ago", "expected"), [(1, True), (24, True), (25, False)])
def test_a_better_series_reopens_a_report_of_the_last_day(
    hours_ago: float, expected: bool
) -> None:
    ranking = rank_facts([facts(1, "sharp"), facts(2, "soft")])
    found = [series(1), series(2, is_new=True)]

    assert reopened(ranking, found, standing(hours_ago=hours_ago)) is expected


@pytest.mark.parametrize("number", [0, 2], ids=["lower UID", "higher UID"])
def test_an_equal_series_does_not_replace_the_reported_one(number: int) -> None:
    ranking = rank_facts([facts(1), facts(number)])

    assert not reopened(ranking, [series(1), series(number, is_new=True)], standing())


def test_a_worse_series_reopens_a_report_only_for_a_side_that_is_not_assessed() -> None:
    ranking = rank_facts([facts(1, "soft"), facts(2, "sharp")])
    found = [series(1), series(2, is_new=True)]

    assert not reopened(ranking, found, standing())
    assert reopened(ranking, found, standing(sides=frozenset({"R"}), hours_ago=999))


def test_a_changed_series_of_the_report_always_reopens_it() -> None:
    ranking = rank_facts([facts(1)])

    assert reopened(ranking, [series(1, is_new=True)], standing(hours_ago=999))


def test_an_excluded_series_never_reopens_a_report() -> None:
    localizer = facts(2, reason=Reason(ReasonCode.LOCALIZER, "A scout image."))
    ranking = rank_facts([facts(1), localizer])
    found = [series(1), series(2, is_new=True)]

    assert not reopened(ranking, found, standing(sides=frozenset()))


def test_late_series_end_with_their_reason_and_the_others_keep_their_state() -> None:
    localizer = facts(3, reason=Reason(ReasonCode.LOCALIZER, "A scout image."))
    ranking = rank_facts([facts(1, "soft"), facts(2, "sharp"), localizer])
    found = [series(1), series(2, is_new=True), series(3, is_new=True)]

    kept, late, excluded = late_ends(ranking, found, standing())

    assert (kept.state, kept.rank) == (None, 1)
    assert (late.state, late.rank) == (SeriesState.NOT_SELECTED, 2)
    assert late.reason_text is not None
    assert late.reason_text.startswith("Series 1, coronal 3 mm, soft kernel, was reported")
    assert (excluded.state, excluded.reason_code) == (SeriesState.REJECTED, "LOCALIZER")


def test_a_late_spine_does_not_end_as_part_of_a_report_that_stays() -> None:
    ranking = rank_facts([facts(1), facts(2, "sharp")])
    outcomes = tuple(SeriesOutcome(entry, "screened") for entry in ranking.candidates)
    late = StudyScreening("reported", outcomes)
    ends = ends_of_same(
        late, [series(1), series(2, is_new=True)], standing(sides=frozenset("R"))
    )

    assert [(one.state, one.is_used) for one in ends] == [
        (None, True),
        (SeriesState.NOT_SELECTED, False),
    ]
    assert ends[1].reason_code == "NOT_SELECTED"
    assert "grades no other hip" in (ends[1].reason_text or "")
