"""Covered: each rule of the delivery policy, their order, and the distance in months."""

from dataclasses import replace
from datetime import date

import pytest

from tests.support.factories import MODEL, make_screening
from tests.support.spine_results import make_lumbar, make_spine_screening
from worker.pipeline.results import Grade, Screening
from worker.screening.delivery_policy import (
    DeliveredReport,
    DeliveryPolicy,
    Report,
    Withheld,
    WithheldCode,
    demonstration,
    months_apart,
    not_low_density,
    repeated,
    silent,
    why_withheld,
)

DAY = date(2026, 11, 30)
LOW_DENSITY = DeliveryPolicy("low_density")
ONE_YEAR = DeliveryPolicy(repeat_months=12)
PATIENTS = replace(MODEL, simulated=False, training_data="3,012 CT with DXA")


def screening(right: Grade | None, left: Grade | None, *, doubt: float = 0.1) -> Screening:
    """Return a result of two hips; the next worse grade has ``doubt``."""
    base = make_screening()
    hips = tuple(
        replace(hip, grade=grade, probabilities=probabilities(grade, doubt))
        for hip, grade in zip(base.hips, (right, left), strict=True)
    )
    grades = [grade for grade in (right, left) if grade is not None]
    worst = max(grades, key=list(Grade).index)
    return replace(base, hips=hips, grade=worst, model=PATIENTS)


def probabilities(grade: Grade | None, doubt: float) -> dict[Grade, float] | None:
    if grade is None:
        return None
    second = Grade.OSTEOPENIA if grade is not Grade.OSTEOPENIA else Grade.NORMAL
    return {one: 0.0 for one in Grade} | {grade: 1 - doubt, second: doubt}


NORMAL = screening(Grade.NORMAL, Grade.NORMAL)
OSTEOPENIA = screening(Grade.NORMAL, Grade.OSTEOPENIA)


def code_of(withheld: Withheld | None) -> WithheldCode | None:
    return None if withheld is None else withheld.code


@pytest.mark.parametrize(
    ("deliver", "code"), [("all", None), ("low_density", None), ("none", WithheldCode.SILENT)]
)
def test_nothing_is_delivered_in_the_silent_phase(
    deliver: str, code: WithheldCode | None
) -> None:
    policy = DeliveryPolicy(deliver)  # type: ignore[arg-type]

    assert code_of(silent(Report(OSTEOPENIA), policy)) is code
    assert code_of(silent(Report(OSTEOPENIA, replaces=True), policy)) is code


def test_a_demonstration_model_selects_no_reports() -> None:
    demo = replace(OSTEOPENIA, model=replace(PATIENTS, simulated=True))

    assert code_of(demonstration(Report(demo), LOW_DENSITY)) is WithheldCode.DEMONSTRATION
    assert demonstration(Report(demo), DeliveryPolicy("all")) is None
    assert demonstration(Report(OSTEOPENIA), LOW_DENSITY) is None


@pytest.mark.parametrize(
    ("result", "delivered"),
    [
        (NORMAL, False),
        (OSTEOPENIA, True),
        (screening(Grade.OSTEOPOROSIS, None), True),
        (screening(None, Grade.NORMAL), False),
        (screening(Grade.NORMAL, Grade.NORMAL, doubt=0.4), True),
        (screening(None, Grade.NORMAL, doubt=0.4), True),
    ],
)
def test_low_density_and_uncertain_hips_are_delivered(
    result: Screening, delivered: bool
) -> None:
    expected = None if delivered else WithheldCode.NOT_LOW_DENSITY

    assert code_of(not_low_density(Report(result), LOW_DENSITY)) is expected
    assert not_low_density(Report(result), DeliveryPolicy("all")) is None


def test_a_normal_report_that_replaces_a_delivered_one_is_delivered() -> None:
    assert not_low_density(Report(NORMAL, replaces=True), LOW_DENSITY) is None


@pytest.mark.parametrize(
    ("day", "grade", "delivered"),
    [
        (date(2026, 6, 1), Grade.NORMAL, True),
        (date(2026, 6, 1), Grade.OSTEOPENIA, False),
        (date(2026, 6, 1), Grade.OSTEOPOROSIS, False),
        (DAY, Grade.OSTEOPENIA, False),
        (date(2025, 12, 1), Grade.OSTEOPENIA, False),
        (date(2025, 11, 30), Grade.OSTEOPENIA, True),
        (date(2027, 2, 1), Grade.OSTEOPENIA, False),
    ],
)
def test_a_report_is_repeated_within_the_months_only_if_it_is_worse(
    day: date, grade: Grade, delivered: bool
) -> None:
    report = Report(OSTEOPENIA, DAY, [DeliveredReport(day, grade)])

    expected = None if delivered else WithheldCode.REPEATED
    assert code_of(repeated(report, ONE_YEAR)) is expected
    assert repeated(report, DeliveryPolicy()) is None
    assert repeated(replace(report, replaces=True), ONE_YEAR) is None


def test_the_worst_recent_report_counts() -> None:
    both = [DeliveredReport(DAY, Grade.OSTEOPOROSIS), DeliveredReport(DAY, Grade.NORMAL)]

    assert repeated(Report(OSTEOPENIA, DAY, both), ONE_YEAR) is not None
    assert repeated(Report(OSTEOPENIA, DAY, both[1:]), ONE_YEAR) is None


SPINE_LOW = make_spine_screening()
SPINE_HIGH = make_spine_screening(make_lumbar({"L1": 170.0}))
SPINE_DOES_NOT_HOLD = make_spine_screening(make_lumbar(KVP=140))


@pytest.mark.parametrize(
    ("result", "delivered"),
    [(SPINE_LOW, True), (SPINE_HIGH, False), (SPINE_DOES_NOT_HOLD, False)],
)
def test_spine_without_hips_is_delivered_under_the_specific_limit(
    result: Screening, delivered: bool
) -> None:
    withheld = why_withheld(Report(result), LOW_DENSITY)

    assert (withheld is None) == delivered
    if withheld is not None:
        assert withheld.code is WithheldCode.NOT_LOW_DENSITY
        assert withheld.text.startswith("No measured vertebra suggests")


@pytest.mark.parametrize(
    ("result", "earlier", "delivered"),
    [
        (SPINE_HIGH, None, False),
        (SPINE_HIGH, Grade.NORMAL, False),
        (SPINE_LOW, None, True),
        (OSTEOPENIA, None, True),
    ],
)
def test_report_without_a_grade_is_repeated_only_if_it_suggests_low_density(
    result: Screening, earlier: Grade | None, delivered: bool
) -> None:
    report = Report(result, DAY, [DeliveredReport(DAY, earlier)])

    assert (repeated(report, ONE_YEAR) is None) == delivered
    assert repeated(replace(report, delivered=()), ONE_YEAR) is None


def test_without_a_study_date_nothing_is_a_repetition() -> None:
    delivered = [DeliveredReport(DAY, Grade.OSTEOPENIA)]

    assert repeated(Report(OSTEOPENIA, None, delivered), ONE_YEAR) is None


def test_the_first_rule_gives_the_reason() -> None:
    report = Report(NORMAL, DAY, [DeliveredReport(DAY, Grade.NORMAL)])

    silent_phase = DeliveryPolicy("none", 12)
    assert code_of(why_withheld(report, silent_phase)) is WithheldCode.SILENT
    low_density = DeliveryPolicy("low_density", 12)
    assert code_of(why_withheld(report, low_density)) is WithheldCode.NOT_LOW_DENSITY
    assert code_of(why_withheld(report, ONE_YEAR)) is WithheldCode.REPEATED
    assert why_withheld(report, DeliveryPolicy()) is None


@pytest.mark.parametrize(
    ("one", "other", "months"),
    [
        (date(2026, 1, 31), date(2026, 2, 28), 0),
        (date(2026, 1, 31), date(2026, 3, 1), 1),
        (date(2026, 3, 31), date(2025, 3, 31), 12),
        (date(2026, 3, 30), date(2025, 3, 31), 11),
        (DAY, DAY, 0),
    ],
)
def test_months_are_whole(one: date, other: date, months: int) -> None:
    assert months_apart(one, other) == months
    assert months_apart(other, one) == months
