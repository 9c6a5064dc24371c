"""Screen one study: go down the ranking of its series until both hips are graded.

``screen_one`` screens one series and is called for the series that are needed only, so that no
pixel of the others is read. The caller decides there about attempts, deadlines and errors.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from worker.pipeline.compose import NamedResult, compose, is_complete
from worker.pipeline.ranking.rank import RankedSeries, Ranking, why_preferred
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import Failed, Hip, Rejected, Screening
from worker.pipeline.validation import eligibility

MAX_SERIES = 3

# Reasons against the patient or the identity of the images: one series suffices for them.
OF_PATIENT = (ReasonCode.OPTED_OUT, ReasonCode.TOO_YOUNG)
VETOES = (ReasonCode.MIXED, *OF_PATIENT)
# Where nothing can be graded, the study gets the first of these that one of its series has: the
# reason that is most useful to the reader.
REASON_PRIORITY = (
    *OF_PATIENT, ReasonCode.NO_MODEL, ReasonCode.METAL, ReasonCode.OUT_OF_DISTRIBUTION,
    ReasonCode.NO_FEMUR, ReasonCode.MIXED, ReasonCode.GAPS, ReasonCode.UNDECODABLE,
    ReasonCode.EXCLUDED, ReasonCode.TOO_FEW_SLICES, ReasonCode.NOT_CT, ReasonCode.ORIENTATION,
    ReasonCode.LOCALIZER, ReasonCode.NOT_SELECTED,
)  # fmt: skip

ScreenOne = Callable[[str], Screening | Rejected | Failed]
"""Series Instance UID → result of that series."""


@dataclass(frozen=True, slots=True)
class SeriesOutcome:
    """What became of one series of a study.

    ``state`` : ``screened`` where the result uses it. ``reason`` : why it is not used.
    ``result`` : its own result where it was screened. ``error`` : where it failed.
    """

    ranked: RankedSeries
    state: Literal["screened", "rejected", "not_selected", "failed"]
    reason: Reason | None = None
    result: Screening | Rejected | None = None
    error: str | None = None

    @property
    def series_instance_uid(self) -> str:
        """Series Instance UID."""
        return self.ranked.series_instance_uid


@dataclass(frozen=True, slots=True)
class StudyScreening:
    """The result of one study.

    ``series`` : in the order of the ranking. ``result`` : the source of SR and SC, that of one
    series or put together from two; its ``series_instance_uid`` is the best used series, and
    each hip names its own. None where no hip is graded and no lumbar vertebra is measured;
    ``reason`` then is the most telling one, None where ``state`` is ``failed``: there is no
    result and one series could not be screened.
    """

    state: Literal["reported", "nothing_to_report", "failed"]
    series: tuple[SeriesOutcome, ...]
    result: Screening | None = None
    reason: Reason | None = None

    @property
    def hips(self) -> tuple[Hip, ...]:
        """The hips of the result; without one, those of the highest-ranked series with any."""
        if self.result is not None:
            return self.result.hips
        found = (one.result.hips for one in self.series if one.result is not None)
        return next(filter(None, found), ())


def screen_study(
    ranking: Ranking, screen_one: ScreenOne, *, max_series: int = MAX_SERIES
) -> StudyScreening:
    """Screen at most ``max_series`` series of a study; one that fails yields to the next.

    A series that all its headers reject, before a pixel is read, does not count.
    """
    ended: dict[str, Screening | Rejected | Failed] = {}
    results: list[NamedResult] = []
    veto = ranking.veto
    for entry in ranking.candidates:
        if veto is not None or len(results) == max_series or is_complete(results):
            break
        result = screen_one(entry.series_instance_uid)
        ended[entry.series_instance_uid] = result
        if not isinstance(result, Failed):
            veto = _veto_of(result)
            if _reached_pixels(result):
                results.append(NamedResult(entry.name, result))
    composed = None if veto else compose(results)
    used = _used(composed, ranking)
    series = tuple(_outcome(entry, ended, used, veto) for entry in ranking.entries)
    if composed is None:
        return _without_result(series, veto)
    warnings = *_passed_over(series, used), *composed.warnings
    return StudyScreening("reported", series, replace(composed, warnings=warnings))


def _reached_pixels(result: Screening | Rejected) -> bool:
    """Return whether a series was screened, not rejected by rules that need headers only."""
    return isinstance(result, Screening) or any(
        check.rule == eligibility.PIXELS for check in result.checks
    )


def _veto_of(result: Screening | Rejected) -> Reason | None:
    """Return the reason against the study that the result of one series holds.

    Headers that mix phases or acquisitions say nothing about the other series.
    """
    if not isinstance(result, Rejected) or result.reason.code not in VETOES:
        return None
    failed = [check.rule for check in result.checks if check.code is not None]
    of_patient = result.reason.code in OF_PATIENT or "one_patient" in failed
    return result.reason if of_patient or _reached_pixels(result) else None


def _used(composed: Screening | None, ranking: Ranking) -> Sequence[RankedSeries]:
    """Return the series that decide about a side or the spine of the result, by rank."""
    if composed is None:
        return ()
    uids = {composed.series_instance_uid, *(hip.series_instance_uid for hip in composed.hips)}
    if composed.lumbar is not None and composed.lumbar.measured:
        uids.add(composed.lumbar.series_instance_uid)
    return [entry for entry in ranking.candidates if entry.series_instance_uid in uids]


def _outcome(
    entry: RankedSeries,
    ended: dict[str, Screening | Rejected | Failed],
    used: Sequence[RankedSeries],
    veto: Reason | None,
) -> SeriesOutcome:
    result = ended.get(entry.series_instance_uid)
    if isinstance(result, Failed):
        return SeriesOutcome(entry, "failed", error=result.error)
    if isinstance(result, Rejected):
        return SeriesOutcome(entry, "rejected", result.reason, result)
    if entry in used:
        return SeriesOutcome(entry, "screened", result=result)
    if entry.reason is not None or veto is not None:
        return SeriesOutcome(entry, "rejected", entry.reason or veto, result)
    return SeriesOutcome(entry, "not_selected", _not_selected(entry, used), result)


def _not_selected(entry: RankedSeries, used: Sequence[RankedSeries]) -> Reason:
    """Return which series was used instead, and why."""
    if not used:
        text = "Series that rank higher were screened, and no hip can be graded in them."
        return Reason(ReasonCode.NOT_SELECTED, text)
    names = " and ".join(one.name for one in used)
    were = "was" if len(used) == 1 else "were"
    text = f"{names[:1].upper()}{names[1:]}, {were} preferred"
    first = used[0]
    if (first.rank or 0) < (entry.rank or 0):
        return Reason(ReasonCode.NOT_SELECTED, f"{text} ({why_preferred(first, entry)}).")
    return Reason(ReasonCode.NOT_SELECTED, f"{text} (more hips are graded).")


def _passed_over(
    series: Iterable[SeriesOutcome], used: Sequence[RankedSeries]
) -> Iterable[str]:
    """Yield a warning for each failed series that ranks higher than a used one."""
    last = max((entry.rank or 0 for entry in used), default=0)
    for one in series:
        if one.state == "failed" and (one.ranked.rank or 0) < last:
            yield f"Study: {one.ranked.name}, ranks higher and could not be screened."


def _without_result(series: tuple[SeriesOutcome, ...], veto: Reason | None) -> StudyScreening:
    if veto is None and any(one.state == "failed" for one in series):
        return StudyScreening("failed", series)
    reasons = [one.reason for one in series if one.reason is not None]
    found = min(reasons, key=lambda reason: REASON_PRIORITY.index(reason.code), default=None)
    return StudyScreening("nothing_to_report", series, reason=veto or found)
