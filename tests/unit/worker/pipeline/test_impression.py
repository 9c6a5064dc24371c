"""Covered: every branch of the impression, what qualifies it, and the recommendation."""

from dataclasses import replace
from datetime import date

import pytest

from tests.support.factories import MODEL, make_ct_headers, make_screening, with_hip
from tests.support.report_cases import CLINICAL_MODEL, METAL, NOT_IN_VIEW, OUT_OF_DISTRIBUTION
from worker.pipeline.grading import worse_grade
from worker.pipeline.impression import impression, qualifications, recommendation
from worker.pipeline.previous import PreviousHip, PreviousResult
from worker.pipeline.reasons import Reason
from worker.pipeline.results import Grade, Screening

NORMAL, OSTEOPENIA, OSTEOPOROSIS = Grade
UNCERTAIN: dict[tuple[Grade, Grade], tuple[float, float, float]] = {
    (NORMAL, OSTEOPENIA): (0.55, 0.35, 0.1),
    (NORMAL, OSTEOPOROSIS): (0.5, 0.1, 0.4),
    (OSTEOPENIA, NORMAL): (0.35, 0.55, 0.1),
    (OSTEOPENIA, OSTEOPOROSIS): (0.1, 0.55, 0.35),
    (OSTEOPOROSIS, OSTEOPENIA): (0.1, 0.35, 0.55),
}
Result = Grade | tuple[Grade, Grade] | Reason | None
LONGEST = 200


def result(right: Result, left: Result, simulated: bool = False) -> Screening:
    """Return a screening; two grades are the grade of an uncertain hip and the second one."""
    model = MODEL if simulated else CLINICAL_MODEL
    first = [one[0] if isinstance(one, tuple) else one for one in (right, left)]
    screening = make_screening(right=first[0], left=first[1], model=model)
    for side, one in (("R", right), ("L", left)):
        if isinstance(one, tuple):
            number = [hip.side for hip in screening.hips].index(side)
            chances = dict(zip(Grade, UNCERTAIN[one], strict=True))
            screening = with_hip(screening, number, probabilities=chances)
    return screening


IMPRESSIONS: dict[str, tuple[Result, Result]] = {
    "Low density suggested, grade osteoporosis (both hips).": (OSTEOPOROSIS, OSTEOPOROSIS),
    "Low density suggested, grade osteoporosis (left hip; right hip osteopenia).": (
        OSTEOPENIA, OSTEOPOROSIS,
    ),
    "Low density suggested, grade osteopenia (right hip; left hip normal).": (
        OSTEOPENIA, NORMAL,
    ),
    "Low density suggested, grade osteopenia (left hip; right hip not assessable: metal).": (
        METAL, OSTEOPENIA,
    ),
    "No low density suggested (both hips); this does not exclude osteoporosis.": (
        NORMAL, NORMAL,
    ),
    "No low density suggested (right hip; left hip not assessable: metal); "
    "this does not exclude osteoporosis.": (NORMAL, METAL),
    "No low density suggested (left hip; right hip not assessable: not found); "
    "this does not exclude osteoporosis.": (None, NORMAL),
    "Low density suggested, grade osteopenia (right hip; left hip not assessable).": (
        OSTEOPENIA, OUT_OF_DISTRIBUTION,
    ),
    "No result (right hip not assessable: metal; left hip not assessable: not found).": (
        METAL, NOT_IN_VIEW,
    ),
    "Uncertain whether osteopenia or osteoporosis (both hips).": (
        (OSTEOPENIA, OSTEOPOROSIS), (OSTEOPENIA, OSTEOPOROSIS),
    ),
    "Uncertain whether osteopenia or normal (right hip; left hip normal).": (
        (OSTEOPENIA, NORMAL), NORMAL,
    ),
    "Uncertain whether normal or osteopenia (left hip; right hip not assessable: metal); "
    "this does not exclude osteoporosis.": (METAL, (NORMAL, OSTEOPENIA)),
    "Uncertain whether osteopenia or osteoporosis (right hip uncertain, normal or "
    "osteoporosis; left hip osteopenia).": ((NORMAL, OSTEOPOROSIS), OSTEOPENIA),
    # The grade of the patient stands, whichever grade the uncertain hip has.
    "Low density suggested, grade osteoporosis (left hip; right hip uncertain, osteopenia or "
    "normal).": ((OSTEOPENIA, NORMAL), OSTEOPOROSIS),
    "Low density suggested, grade osteopenia (right hip; left hip uncertain, osteopenia or "
    "normal).": (OSTEOPENIA, (OSTEOPENIA, NORMAL)),
}  # fmt: skip


@pytest.mark.parametrize("expected", IMPRESSIONS)
def test_impression_is_one_short_sentence(expected: str) -> None:
    right, left = IMPRESSIONS[expected]

    assert impression(result(right, left)) == expected
    assert len(expected) <= LONGEST


@pytest.mark.parametrize("plain", IMPRESSIONS)
def test_impression_of_a_demonstration_model_says_so_first(plain: str) -> None:
    text = impression(result(*IMPRESSIONS[plain], simulated=True))

    assert text == f"DEMONSTRATION, not for clinical use: {plain[0].lower()}{plain[1:]}"
    assert len(text) <= LONGEST


def earlier(day: date, **grades: Grade | None) -> PreviousResult:
    hips = {side: PreviousHip(grade) for side, grade in grades.items()}
    worst = worse_grade([grade for grade in grades.values() if grade is not None])
    return PreviousResult(day, worst, "another model", "1", "00" * 32, hips)


def test_worst_earlier_grade_of_a_side_that_cannot_be_assessed_now_stays_in_view() -> None:
    previous = [
        earlier(date(2025, 1, 2), R=OSTEOPENIA, L=OSTEOPOROSIS),
        earlier(date(2022, 1, 2), R=OSTEOPOROSIS, L=NORMAL),
        earlier(date(2020, 1, 2), R=None, L=NORMAL),
    ]

    assert impression(result(METAL, NORMAL), previous) == (
        "No low density suggested (left hip; right hip not assessable: metal, earlier "
        "osteoporosis); this does not exclude osteoporosis."
    )
    assert "earlier" not in impression(result(NORMAL, NORMAL), previous)
    assert "earlier" not in impression(result(OSTEOPENIA, METAL), previous[1:])


def test_longest_impression_is_within_the_limit() -> None:
    screening = result((NORMAL, OSTEOPOROSIS), METAL, simulated=True)
    text = impression(screening, [earlier(date(2025, 1, 2), L=OSTEOPOROSIS)])

    assert text == (
        "DEMONSTRATION, not for clinical use: uncertain whether normal or osteoporosis (right "
        "hip; left hip not assessable: metal, earlier osteoporosis); this does not exclude "
        "osteoporosis."
    )
    assert len(text) <= LONGEST


@pytest.mark.parametrize(
    ("attributes", "under"),
    [
        ({"PatientAge": "049Y", "PatientBirthDate": None}, True),
        ({"PatientAge": "050Y", "PatientBirthDate": None}, False),
        ({"PatientAge": None, "PatientBirthDate": "19900101"}, True),
        ({"PatientAge": None, "PatientBirthDate": None}, False),
    ],
)
def test_below_50_years_the_who_categories_are_qualified(
    attributes: dict[str, str | None], under: bool
) -> None:
    screening = make_screening(make_ct_headers(**attributes))
    sentence = (
        "Patient under 50 years: WHO categories apply to postmenopausal women and to men from "
        "50 years (ISCD); Z-scores are preferred otherwise."
    )

    assert list(qualifications(screening)) == ([sentence] if under else [])


def test_grade_that_demographics_changed_is_stated_with_that_of_the_picture() -> None:
    screening = make_screening()
    changed = with_hip(with_hip(screening, 0, image_grade=NORMAL), 1, image_grade=OSTEOPOROSIS)

    start = "Sex, age, height and weight changed the grade: from the picture alone, "
    assert list(qualifications(changed)) == [f"{start}right hip normal."]
    both = with_hip(changed, 1, image_grade=OSTEOPENIA)
    assert list(qualifications(both)) == [f"{start}right hip normal, left hip osteopenia."]
    assert list(qualifications(with_hip(changed, 0, image_grade=OSTEOPENIA))) == []


@pytest.mark.parametrize(
    ("right", "left", "recommended"),
    [
        (OSTEOPOROSIS, NORMAL, True),
        (METAL, OSTEOPENIA, True),
        ((NORMAL, OSTEOPENIA), NORMAL, True),
        (NORMAL, NORMAL, False),
        (METAL, NORMAL, False),
    ],
)
def test_dxa_is_recommended_for_possible_low_density_and_never_by_a_demonstration(
    right: Result, left: Result, recommended: bool
) -> None:
    screening = result(right, left)
    expected = "Confirm with DXA before any decision about treatment." if recommended else ""

    assert recommendation(screening) == expected
    assert recommendation(replace(screening, model=MODEL)) == ""
