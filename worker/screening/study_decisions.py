"""Decisions about a study: whether late series reopen its report, and the end of each series.

Pure: no I/O.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from db.states import SeriesState
from db.study_results import SeriesEnd
from db.study_series import RunSeries, StandingResult
from worker.pipeline.ranking.rank import RankedSeries, Ranking
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Screening
from worker.pipeline.screen_study import SeriesOutcome, StudyScreening

LATE = "The study was reported before this series arrived, and it grades no other hip."
SIDES = frozenset({"R", "L"})


def reopens(
    ranking: Ranking,
    series: Iterable[RunSeries],
    standing: StandingResult,
    *,
    now: datetime,
    reopen_hours: float,
) -> bool:
    """Return whether new and changed series of a study can change its standing result.

    A changed series of the result always can, and so can a candidate where a side is not
    assessed. A candidate that ranks higher than a series of the result can for
    ``reopen_hours`` after the report.
    """
    by_uid = {one.series_instance_uid: one for one in series}
    if any(one.is_new and one.series_id in standing.series_ids for one in by_uid.values()):
        return True
    entries = [
        (_places(entry), by_uid[entry.series_instance_uid]) for entry in ranking.candidates
    ]
    new = [places for places, one in entries if one.is_new]
    used = [places for places, one in entries if one.series_id in standing.series_ids]
    if not new:
        return False
    if standing.graded_sides < SIDES:
        return True
    reported_at = standing.finished_at or now
    recent = now - reported_at <= timedelta(hours=reopen_hours)
    return recent and bool(used) and min(new) < max(used)


def _places(entry: RankedSeries) -> list[float]:
    """Return what a series is ordered by; of two equal ones the reported one stays."""
    return [place for place, _ in entry.places]


def late_ends(
    ranking: Ranking, series: Sequence[RunSeries], standing: StandingResult
) -> list[SeriesEnd]:
    """Return the ends of series that came too late to change the report."""
    entries = {entry.series_instance_uid: entry for entry in ranking.entries}
    names = [
        entry.name
        for one in series
        if one.series_id in standing.series_ids
        and (entry := entries.get(one.series_instance_uid)) is not None
    ]
    text = _late_text(names)
    return [_late_end(one, entries.get(one.series_instance_uid), text) for one in series]


def _late_text(names: Sequence[str]) -> str:
    if not names:
        return "It arrived after the report, whose images are no longer in the spool."
    used = " and ".join(names)
    return f"{used[:1].upper()}{used[1:]}, was reported before this series arrived."


def _late_end(one: RunSeries, entry: RankedSeries | None, text: str) -> SeriesEnd:
    if not one.is_new or entry is None:
        return SeriesEnd(one, None, None if entry is None else entry.rank)
    if entry.reason is not None:
        reason = entry.reason
        return SeriesEnd(one, SeriesState.REJECTED, None, reason.code.value, reason.text)
    code = ReasonCode.NOT_SELECTED.value
    return SeriesEnd(one, SeriesState.NOT_SELECTED, entry.rank, code, text)


def ends_of(screening: StudyScreening, series: Sequence[RunSeries]) -> list[SeriesEnd]:
    """Return the end of each series of a study that was screened."""
    outcomes = {one.series_instance_uid: one for one in screening.series}
    return [_end_of(one, outcomes.get(one.series_instance_uid)) for one in series]


def ends_of_same(
    screening: StudyScreening, series: Sequence[RunSeries], standing: StandingResult
) -> list[SeriesEnd]:
    """Return the end of each series where the hips of the standing result stay the best.

    A late series whose spine would stand beside these hips does not replace the report.
    """
    return [_end_of_same(one, standing) for one in ends_of(screening, series)]


def _end_of_same(end: SeriesEnd, standing: StandingResult) -> SeriesEnd:
    if end.series.series_id in standing.series_ids:
        return SeriesEnd(end.series, None, end.rank, is_used=True)
    if end.state is SeriesState.SCREENED:
        code = ReasonCode.NOT_SELECTED.value
        return replace(end, state=SeriesState.NOT_SELECTED, reason_code=code, reason_text=LATE)
    return end


def _end_of(one: RunSeries, outcome: SeriesOutcome | None) -> SeriesEnd:
    if outcome is None:  # its images are no longer in the spool
        return SeriesEnd(one, None, None)
    return SeriesEnd(
        one,
        SeriesState(outcome.state),
        outcome.ranked.rank,
        None if outcome.reason is None else outcome.reason.code.value,
        None if outcome.reason is None else outcome.reason.text,
        outcome.error,
        is_used=outcome.result is not None or outcome.error is not None,
    )


def used_series(result: Screening, by_uid: Mapping[str, RunSeries]) -> list[RunSeries]:
    """Return the series that a result is taken from, the best first."""
    uids = dict.fromkeys(
        [result.series_instance_uid, *(hip.series_instance_uid for hip in result.hips)]
    )
    return [by_uid[uid] for uid in uids if uid in by_uid]


def is_same(first: StudyScreening, second: StudyScreening) -> bool:
    """Return whether two rankings of a study lead to the same result."""
    return first.state == second.state and _key(first.result) == _key(second.result)


def _key(result: Screening | None) -> tuple[object, ...] | None:
    if result is None:
        return None
    hips = tuple((hip.side, hip.series_instance_uid) for hip in result.hips)
    spine = "" if result.lumbar is None else result.lumbar.series_instance_uid
    return (result.series_instance_uid, hips, spine, result.warnings)
