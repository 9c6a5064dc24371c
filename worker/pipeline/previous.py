"""Sentences for SR and SC on earlier results of the same patient and their changes.

Probabilities of two models are different measures: only a result of the same model is compared,
others are named as not compared.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from worker.pipeline.header_values import date_of
from worker.pipeline.results import Grade, Hip, ModelInfo, NeckAttenuation, Screening
from worker.pipeline.statements import SIDE_WORDS, both_hips, percents

CAVEAT = (
    "A change of HU or probability may come from another scanner, tube voltage, contrast "
    "phase or position. Only DXA measures a change of bone density."
)
DAYS_PER_MONTH, DAYS_PER_YEAR = 30.44, 365.25


@dataclass(frozen=True, slots=True)
class PreviousHip:
    """One hip of an earlier result.

    ``grade`` is None where the hip was not assessable, ``neck_hu`` where it was not measured.
    """

    grade: Grade | None
    probabilities: Mapping[Grade, float] | None = None
    neck_hu: float | None = None


@dataclass(frozen=True, slots=True)
class PreviousResult:
    """The recorded result of the same patient at an earlier study."""

    study_date: date
    grade: Grade
    model_name: str
    model_version: str
    model_sha256: str
    hips: Mapping[str, PreviousHip]
    """By side, R and L."""

    def is_of(self, model: ModelInfo) -> bool:
        """Return whether ``model`` gave this result, so that it can be compared."""
        own = self.model_name, self.model_version, self.model_sha256
        return own == (model.name, model.version, model.sha256)


def report_lines(screening: Screening, previous: Sequence[PreviousResult]) -> Iterable[str]:
    """Yield one line a result, oldest first, with the change of each hip; then a caveat."""
    compared = False
    for earlier in sorted(previous, key=lambda one: one.study_date):
        result = f"Previous result, {earlier.study_date.isoformat()}: {earlier.grade.value}"
        if not earlier.is_of(screening.model):
            yield (
                f"{result} (model {earlier.model_name} {earlier.model_version}). "
                "Another model: not compared."
            )
            continue
        compared = True
        hips = (_hip_change(hip, earlier.hips.get(hip.side)) for hip in both_hips(screening))
        yield f"{result} (same model). {' '.join(hips)}"
    if compared:
        yield CAVEAT


def picture_line(screening: Screening, hip: Hip, previous: Sequence[PreviousResult]) -> str:
    """Return the newest comparable result of one hip in short, ``""`` where there is none.

    Without a date: the picture must not reveal when the patient was examined.
    """
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
    """Return why the newest result is not compared, ``""`` where it is or there is none."""
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
    """Compare grade, probability of the current grade, and HU."""
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
    """Return the difference of the rounded values, as a reader would subtract them."""
    if not isinstance(hip.neck, NeckAttenuation):
        return ""
    return f" ({round(hip.neck.mean_hu) - round(neck_hu):+d}{since})"


def _ago(screening: Screening, earlier: PreviousResult) -> str:
    today = date_of(screening.source, "StudyDate")
    if today is None:
        return "earlier"
    days = (today - earlier.study_date).days
    if days < 60:
        return f"{days} days ago"
    if days < 2 * DAYS_PER_YEAR:
        return f"{days / DAYS_PER_MONTH:.0f} months ago"
    return f"{days / DAYS_PER_YEAR:.1f} years ago"
