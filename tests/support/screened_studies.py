"""Studies whose series have prepared results, made of a phantom."""

from collections.abc import Mapping
from dataclasses import replace

from tests.support.factories import make_ct_headers, make_screening
from tests.support.spine_results import make_lumbar, make_spine_screening
from worker.pipeline.ranking.rank import Ranking, rank_facts
from worker.pipeline.ranking.series_facts import SeriesFacts
from worker.pipeline.reasons import Check, Reason, ReasonCode
from worker.pipeline.results import Failed, Grade, Rejected, Screening
from worker.pipeline.screen_study import StudyScreening, screen_study
from worker.pipeline.volume import Side

METAL = Reason(ReasonCode.METAL, "Metal at the hip.")
NO_FEMUR = Reason(ReasonCode.NO_FEMUR, "Not in the field of view.")
DECODED = Check("pixels", "12 slices decoded.")
SCOUT = Reason(ReasonCode.LOCALIZER, "A scout.")
NORMAL, OSTEOPENIA, OSTEOPOROSIS = Grade

Result = Screening | Rejected | Failed | Exception


def uid(number: int) -> str:
    """Return the UID of a series by its number."""
    return f"1.2.826.0.1.3680043.8.498.6.{number}"


def ranking_of(count: int, rejected: Reason | None = None) -> Ranking:
    """Rank ``count`` series in the order of their numbers; one more is rejected."""
    facts = [
        SeriesFacts(
            uid(n), None, number=n, orientation="coronal", kernel="soft", covered_l=99 - n
        )
        for n in range(1, count + 1)
    ]
    if rejected:
        facts.append(SeriesFacts(uid(99), rejected, number=99))
    return rank_facts(facts)


def screened(
    number: int, right: Grade | Reason, left: Grade | Reason, *warnings: str
) -> Screening | Rejected:
    """Return a result of one series, rejected where no hip is graded."""
    headers = make_ct_headers(SeriesInstanceUID=uid(number), SeriesNumber=number)
    result = make_screening(headers, right=right, left=left, warnings=warnings)
    hips = tuple(replace(hip, series_instance_uid=uid(number)) for hip in result.hips)
    if result.grade is None:
        reason = next(hip.reason for hip in hips if hip.reason)
        return Rejected(uid(number), reason, hips=hips, checks=(DECODED,))
    return replace(result, hips=hips)


class ScreenOne:
    """Returns prepared results and notes which series it was asked for."""

    def __init__(self, results: Mapping[int, Result]) -> None:
        self.results = {uid(number): result for number, result in results.items()}
        self.asked: list[int] = []

    def __call__(self, series_instance_uid: str) -> Screening | Rejected | Failed:
        self.asked.append(int(series_instance_uid.rpartition(".")[2]))
        result = self.results[series_instance_uid]
        if isinstance(result, Exception):
            raise result
        return result


def spine_only(number: int) -> Screening:
    """Return a result of one series that measures the spine and grades no hip."""
    lumbar = make_lumbar(SeriesInstanceUID=uid(number), SeriesNumber=number)
    result = make_spine_screening(lumbar)
    hips = tuple(replace(hip, series_instance_uid=uid(number)) for hip in result.hips)
    return replace(result, hips=hips)


def study_of(
    *results: Result, max_series: int = 3, rejected: Reason | None = None
) -> tuple[StudyScreening, list[int]]:
    """Screen a study whose series have these results, in the order of their rank.

    Return also the numbers of the series that were screened.
    """
    screen_one = ScreenOne(dict(enumerate(results, 1)))
    study = screen_study(ranking_of(len(results), rejected), screen_one, max_series=max_series)
    return study, screen_one.asked


def states(study: StudyScreening) -> list[str]:
    """Return the states of the series in the order of their rank."""
    return [one.state for one in study.series]


def series_of(study: StudyScreening, side: Side) -> str:
    """Return the UID of the series from which the hip of a side is."""
    return next(hip.series_instance_uid for hip in study.hips if hip.side == side)
