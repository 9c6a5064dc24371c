"""Earlier results of the same patient, and what has changed since: in words, for SR and SC.

Probabilities of two models are two different measures, so only a result of the very same
model is compared; one of another model is named, and said not to be.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from worker.pipeline.geometry import date_of
from worker.pipeline.results import Grade, Hip, ModelInfo, NeckAttenuation, Screening
from worker.pipeline.statements import SIDE_WORDS, both_hips, percents

CAVEAT = (
    "A change of HU or probability may come from another scanner, tube voltage, contrast "
    "phase or position. Only DXA measures a change of bone density."
)
DAYS_PER_MONTH, DAYS_PER_YEAR = 30.44, 365.25


@dataclass(frozen=True, slots=True)
class PreviousHip:
    """One hip then: no grade where it was not assessable, no HU where none was measured."""

    grade: Grade | None
    probabilities: Mapping[Grade, float] | None = None
    neck_hu: float | None = None


@dataclass(frozen=True, slots=True)
class PreviousResult:
    """What our own record says of the same patient at an earlier study."""

    study_date: date
    grade: Grade
    model_name: str
    model_version: str
    model_sha256: str
    hips: Mapping[str, PreviousHip]
    """By side, R and L."""

    def is_of(self, model: ModelInfo) -> bool:
        """Whether it can be compared with a result of ``model``."""
        mine = self.model_name, self.model_version, self.model_sha256
        return mine == (model.name, model.version, model.sha256)


def report_lines(screening: Screening, previous: Sequence[PreviousResult]) -> Iterable[str]:
    """One line a result, oldest first, with the change of each hip; then how to take it."""
    compared = False
    for earlier in sorted(previous, key=lambda one: one.study_date):
        said = f"Previous result, {earlier.study_date.isoformat()}: {earlier.grade.value}"
        if not earlier.is_of(screening.model):
            yield (
                f"{said} (model {earlier.model_name} {earlier.model_version}). "
                "Another model: not compared."
            )
            continue
        compared = True
        hips = (_hip_change(hip, earlier.hips.get(hip.side)) for hip in both_hips(screening))
        yield f"{said} (same model). {' '.join(hips)}"
    if compared:
        yield CAVEAT


def picture_line(screening: Screening, hip: Hip, previous: Sequence[PreviousResult]) -> str:
    """The newest comparable result of one hip, short and without a date: the picture must not
    tell when somebody was where. Nothing where there is none."""
    earlier = next((one for one in _newest_first(previous) if one.is_of(screening.model)), None)
    if earlier is None or hip.side not in earlier.hips:
        return ""
    then = earlier.hips[hip.side]
    when = _ago(screening, earlier).capitalize()
    if then.grade is None:
        return f"{when}: not assessable."
    words = f"{when}: {then.grade.value}"
    if hip.grade is not None and then.probabilities is not None:
        words += f" (then {_percent(then.probabilities, hip.grade)} % {hip.grade.value})"
    if then.neck_hu is None:
        return f"{words}."
    return f"{words}, neck {then.neck_hu:.0f} HU{_difference(hip, then.neck_hu, ' since')}."


def picture_note(screening: Screening, previous: Sequence[PreviousResult]) -> str:
    """What keeps the newest result from being compared, if anything does."""
    newest = next(iter(_newest_first(previous)), None)
    if newest is None or newest.is_of(screening.model):
        return ""
    return (
        f"{_ago(screening, newest).capitalize()}: {newest.grade.value}, "
        f"by another model ({newest.model_name} {newest.model_version}): not compared."
    )


def _newest_first(previous: Sequence[PreviousResult]) -> list[PreviousResult]:
    return sorted(previous, key=lambda one: one.study_date, reverse=True)


def _hip_change(hip: Hip, then: PreviousHip | None) -> str:
    """Grade, probability of today's grade and HU: then and now."""
    side = SIDE_WORDS[hip.side].capitalize()
    before = "not assessable" if then is None or then.grade is None else then.grade.value
    now = "not assessable" if hip.grade is None else hip.grade.value
    parts = [f"{side} hip: {before} then, {now} now"]
    if then is not None and then.probabilities is not None and hip.grade is not None:
        old, new = _percent(then.probabilities, hip.grade), percents(hip, 0)[hip.grade]
        parts.append(
            f"probability of {hip.grade.value} {old} % then, {new:.0f} % now ({new - old:+.0f})"
        )
    if then is not None and then.neck_hu is not None and isinstance(hip.neck, NeckAttenuation):
        parts.append(
            f"neck {then.neck_hu:.0f} HU then, {hip.neck.mean_hu:.0f} HU now"
            f"{_difference(hip, then.neck_hu)}"
        )
    return "; ".join(parts) + "."


def _percent(probabilities: Mapping[Grade, float], grade: Grade) -> int:
    return round(100 * probabilities[grade])


def _difference(hip: Hip, neck_hu: float, since: str = "") -> str:
    """Of the rounded values, so that a reader who subtracts gets the same."""
    if not isinstance(hip.neck, NeckAttenuation):
        return ""
    return f" ({round(hip.neck.mean_hu) - round(neck_hu):+d}{since})"


def _ago(screening: Screening, earlier: PreviousResult) -> str:
    today = date_of(screening.headers[0], "StudyDate")
    if today is None:
        return "earlier"
    days = (today - earlier.study_date).days
    if days < 60:
        return f"{days} days ago"
    if days < 2 * DAYS_PER_YEAR:
        return f"{days / DAYS_PER_MONTH:.0f} months ago"
    return f"{days / DAYS_PER_YEAR:.1f} years ago"
