"""Sentences for SR and SC on earlier results of the same patient and their changes.

Probabilities of two models are different measures: only a result of the same model is compared,
others are named as not compared.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from worker.pipeline import wording
from worker.pipeline.header_values import date_of
from worker.pipeline.results import Grade, Hip, ModelInfo, NeckAttenuation, Screening
from worker.pipeline.statements import SIDE_WORDS, both_hips, percent_text

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
        day, grade = earlier.study_date.isoformat(), earlier.grade
        if not earlier.is_of(screening.model):
            yield wording.PREVIOUS_OF_ANOTHER_MODEL.format(
                date=day, grade=grade, name=earlier.model_name, version=earlier.model_version
            )
            continue
        compared = True
        hips = (_hip_change(hip, earlier.hips.get(hip.side)) for hip in both_hips(screening))
        yield wording.PREVIOUS.format(date=day, grade=grade, hips=" ".join(hips))
    if compared:
        yield wording.CHANGE_CAVEAT


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
        return wording.PICTURE_NOT_ASSESSABLE.format(ago=when)
    chance, neck = "", ""
    if hip.grade is not None and then.probabilities is not None:
        percent = percent_text(then.probabilities[hip.grade])
        chance = wording.PICTURE_PROBABILITY.format(percent=percent, grade=hip.grade)
    if then.neck_hu is not None:
        difference = _difference(hip, then.neck_hu, wording.PICTURE_DIFFERENCE)
        neck = wording.PICTURE_NECK.format(hu=f"{then.neck_hu:.0f}", difference=difference)
    return wording.PICTURE_PREVIOUS.format(ago=when, grade=then.grade, chance=chance, neck=neck)


def picture_note(screening: Screening, previous: Sequence[PreviousResult]) -> str:
    """Return why the newest result is not compared, ``""`` where it is or there is none."""
    newest = next(iter(_newest_first(previous)), None)
    if newest is None or newest.is_of(screening.model):
        return ""
    return wording.PICTURE_OF_ANOTHER_MODEL.format(
        ago=_ago(screening, newest).capitalize(),
        grade=newest.grade,
        name=newest.model_name,
        version=newest.model_version,
    )


def _newest_first(previous: Sequence[PreviousResult]) -> list[PreviousResult]:
    return sorted(previous, key=lambda one: one.study_date, reverse=True)


def _hip_change(hip: Hip, then: PreviousHip | None) -> str:
    """Compare grade, probability of the current grade, and HU."""
    before = wording.NOT_ASSESSABLE if then is None or then.grade is None else then.grade
    now = wording.NOT_ASSESSABLE if hip.grade is None else hip.grade
    side = SIDE_WORDS[hip.side].capitalize()
    parts = [wording.GRADE_CHANGE.format(side=side, old=before, new=now)]
    if then is None:
        return f"{parts[0]}."
    if then.probabilities is not None and hip.probabilities is not None and hip.grade:
        old, new = (
            percent_text(one[hip.grade]) for one in (then.probabilities, hip.probabilities)
        )
        parts.append(wording.PROBABILITY_CHANGE.format(grade=hip.grade, old=old, new=new))
    if then.neck_hu is not None and isinstance(hip.neck, NeckAttenuation):
        old, new = f"{then.neck_hu:.0f}", f"{hip.neck.mean_hu:.0f}"
        difference = _difference(hip, then.neck_hu, wording.DIFFERENCE)
        parts.append(wording.NECK_CHANGE.format(old=old, new=new, difference=difference))
    return "; ".join(parts) + "."


def _difference(hip: Hip, neck_hu: float, template: str) -> str:
    """Return the difference of the rounded values, as a reader would subtract them."""
    if not isinstance(hip.neck, NeckAttenuation):
        return ""
    return template.format(hu=f"{round(hip.neck.mean_hu) - round(neck_hu):+d}")


def _ago(screening: Screening, earlier: PreviousResult) -> str:
    today = date_of(screening.source, "StudyDate")
    if today is None:
        return wording.EARLIER
    days = (today - earlier.study_date).days
    if days < 60:
        return wording.DAYS_AGO.format(number=days)
    if days < 2 * DAYS_PER_YEAR:
        return wording.MONTHS_AGO.format(number=f"{days / DAYS_PER_MONTH:.0f}")
    return wording.YEARS_AGO.format(number=f"{days / DAYS_PER_YEAR:.1f}")
