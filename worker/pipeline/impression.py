"""The impression of a result: one sentence that SR and SC show first, and what follows it."""

from collections.abc import Iterable, Sequence

from worker.pipeline import wording
from worker.pipeline.demographics import WHO_FROM_YEARS, ages_by_attribute
from worker.pipeline.grading import SEVERITY, worse_grade
from worker.pipeline.lumbar_statements import (
    contradiction,
    is_under_specific_limit,
    lumbar_line,
    median_line,
    reasons_not_read,
    uncertain_line,
)
from worker.pipeline.previous import PreviousResult
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Grade, Hip, Screening
from worker.pipeline.statements import both_hips, second_grade

SAME_REASON = {
    ReasonCode.NO_FEMUR: wording.NOT_IN_VIEW,
    ReasonCode.NO_MODEL: wording.NO_MODEL_SHORT,
}
"""What is said once where both hips have the reason."""

Grades = tuple[Grade, ...]
"""The grade of a hip or a patient, and where it is uncertain the other possible one."""


def impression(screening: Screening, previous: Sequence[PreviousResult] = ()) -> str:
    """Return the result of a screening in one sentence.

    It is uncertain where another grade of a hip would change that of the patient; another
    uncertain hip is named so. Of a side that cannot be assessed now it states metal and the
    worst grade of ``previous``, earlier results of this patient.
    """
    if screening.grade is None and (line := lumbar_line(screening, short=True)):
        sides = _ungraded(both_hips(screening), previous)
        sentence = wording.NOT_GRADED.format(lumbar=line, sides=sides)
        over = "" if is_under_specific_limit(screening) else wording.NO_RULE_OUT
        return f"{sentence}{over}."
    patient = _patient_grades(screening)
    sides = _sides(both_hips(screening), patient, previous)
    if not patient:
        sentence = wording.NO_RESULT.format(sides=sides)
    elif len(patient) > 1:
        grade, other = patient
        sentence = wording.UNCERTAIN.format(grade=grade, other=other, sides=sides)
    elif patient == (Grade.NORMAL,):
        sentence = wording.NO_LOW_DENSITY.format(sides=sides)
    else:
        sentence = wording.LOW_DENSITY.format(grade=patient[0], sides=sides)
    if Grade.NORMAL in patient[:1]:
        sentence += wording.NO_RULE_OUT
    if screening.model.simulated:
        sentence = wording.DEMONSTRATION_PREFIX.format(impression=sentence)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def qualifications(screening: Screening) -> Iterable[str]:
    """Yield the sentences without which the impression could be misread, often none."""
    yield from _spine(screening)
    if words := contradiction(screening):
        yield words
    if is_under_who_age(screening):
        yield wording.UNDER_WHO_AGE.format(years=WHO_FROM_YEARS)
    if changed := _changed_by_demographics(screening):
        yield changed


def _spine(screening: Screening) -> Iterable[str]:
    """Yield what the impression does not say of the lumbar spine."""
    if screening.grade is None and (words := reasons_not_read(screening)):
        yield words
    median = median_line(screening.lumbar)
    if screening.grade is not None and (line := lumbar_line(screening)):
        yield f"{wording.LUMBAR_BESIDE_GRADE.format(line=line)} {median}".rstrip()
    elif median:
        yield median
    if uncertain := uncertain_line(screening.lumbar):
        yield uncertain


def recommendation(screening: Screening) -> str:
    """Return the recommendation of DXA for a hip of low density, or that may be of it.

    ``""`` otherwise, and for a model that was trained on simulated CT.
    """
    low = any(
        grade is not Grade.NORMAL for hip in screening.hips for grade in possible_grades(hip)
    )
    return wording.RECOMMENDATION if low and not screening.model.simulated else ""


def is_under_who_age(screening: Screening) -> bool:
    """Return whether the patient is younger than the WHO categories apply to."""
    ages = ages_by_attribute(screening.source).values()
    return any(age < WHO_FROM_YEARS for age in ages)


def possible_grades(hip: Hip) -> Grades:
    """Return the grade of a hip, and a second one that is nearly as likely."""
    if hip.grade is None:
        return ()
    second = second_grade(hip)
    return (hip.grade,) if second is None else (hip.grade, second)


def _patient_grades(screening: Screening) -> Grades:
    """Return the patient's grade, and the other one that uncertain hips could make of it."""
    if screening.grade is None:
        return ()
    hips = [possible_grades(hip) for hip in both_hips(screening) if hip.grade is not None]
    for of_each_hip in (
        [worse_grade(grades) for grades in hips],
        [min(grades, key=SEVERITY.index) for grades in hips],
    ):
        if (other := worse_grade(of_each_hip)) is not screening.grade:
            return screening.grade, other
    return (screening.grade,)


def _sides(hips: Sequence[Hip], patient: Grades, previous: Sequence[PreviousResult]) -> str:
    """Name the hips: those of the patient's grades first, and without repeating them."""
    same = [hip for hip in hips if hip.grade and possible_grades(hip) == patient]
    if len(same) == len(hips):
        return wording.BOTH_HIPS
    named = [wording.HIP.format(side=wording.SIDE_WORDS[hip.side]) for hip in same]
    others = [_hip(hip, previous) for hip in hips if hip not in same]
    return "; ".join([*named, *others])


def _ungraded(hips: Sequence[Hip], previous: Sequence[PreviousResult]) -> str:
    """Return why no hip is graded, once where both have the same reason."""
    codes = {hip.reason.code for hip in hips if hip.reason is not None}
    same = SAME_REASON.get(codes.pop()) if len(codes) == 1 else None
    if same is not None:
        return "; ".join([same, *_earlier_of_sides(hips, previous)])
    return "; ".join(
        wording.UNGRADED_HIP.format(
            side=wording.SIDE_WORDS[hip.side],
            reason=_short_reason(hip) or wording.NOT_ASSESSABLE_REASON,
        )
        + _earlier(hip, previous)
        for hip in hips
    )


def _earlier_of_sides(hips: Sequence[Hip], previous: Sequence[PreviousResult]) -> Iterable[str]:
    """Yield the worst earlier grade of each side, once where it is that of both."""
    worst = {hip.side: _worst_earlier(hip, previous) for hip in hips}
    grades = set(worst.values())
    if len(grades) == 1 and (grade := grades.pop()):
        yield wording.EARLIER_OF_SIDES.format(sides=wording.BOTH_HIPS, grade=grade)
        return
    for side, grade in worst.items():
        if grade is not None:
            hip = wording.HIP.format(side=wording.SIDE_WORDS[side])
            yield wording.EARLIER_OF_SIDES.format(sides=hip, grade=grade)


def _hip(hip: Hip, previous: Sequence[PreviousResult]) -> str:
    side, grades = wording.SIDE_WORDS[hip.side], possible_grades(hip)
    if len(grades) > 1:
        return wording.HIP_UNCERTAIN.format(side=side, grade=grades[0], other=grades[1])
    if grades:
        return wording.HIP_OF_GRADE.format(side=side, grade=grades[0])
    words = wording.HIP_NOT_ASSESSABLE.format(side=side)
    return words + _short_reason(hip) + _earlier(hip, previous)


def _short_reason(hip: Hip) -> str:
    return "" if hip.reason is None else wording.SHORT_REASONS.get(hip.reason.code, "")


def _earlier(hip: Hip, previous: Sequence[PreviousResult]) -> str:
    grade = _worst_earlier(hip, previous)
    return "" if grade is None else wording.EARLIER_GRADE.format(grade=grade)


def _worst_earlier(hip: Hip, previous: Sequence[PreviousResult]) -> Grade | None:
    """Return the worst earlier grade of a side, None for normal, which would reassure."""
    earlier = [one.hips[hip.side].grade for one in previous if hip.side in one.hips]
    worst = max((g for g in earlier if g is not None), key=SEVERITY.index, default=None)
    return None if worst is Grade.NORMAL else worst


def _changed_by_demographics(screening: Screening) -> str:
    """Name the hips whose grade would be another one without demographics, otherwise ``""``."""
    hips = [
        wording.HIP_OF_GRADE.format(side=wording.SIDE_WORDS[hip.side], grade=hip.image_grade)
        for hip in both_hips(screening)
        if hip.grade is not None and hip.image_grade not in (None, hip.grade)
    ]
    return wording.CHANGED_BY_DEMOGRAPHICS.format(hips=", ".join(hips)) if hips else ""
