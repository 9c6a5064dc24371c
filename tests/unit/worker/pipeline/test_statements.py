"""Covered: the sentences and percentages that SR and SC share."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from tests.support.factories import make_ct_headers, make_screening
from tests.support.report_cases import METAL
from worker.pipeline import statements
from worker.pipeline.results import Grade, Hip


def hip_of(*probabilities: float) -> Hip:
    return Hip("R", probabilities=dict(zip(Grade, probabilities, strict=True)))


@pytest.mark.parametrize("decimals", [0, 1])
@given(weights=st.tuples(*[st.floats(0, 1)] * 3).filter(lambda w: sum(w) > 1e-3))
def test_percents_sum_to_100_and_keep_the_order_of_the_grades(
    weights: tuple[float, float, float], decimals: int
) -> None:
    exact = [100 * weight / sum(weights) for weight in weights]
    percents = list(statements.percents(hip_of(*(v / 100 for v in exact)), decimals).values())

    assert sum(percents) == pytest.approx(100, abs=1e-9)
    assert all(abs(p - e) <= 10**-decimals for p, e in zip(percents, exact, strict=True))
    assert percents[exact.index(max(exact))] == max(percents)


def test_percents_show_neither_a_false_tie_nor_a_sum_of_101() -> None:
    shown = statements.percents(hip_of(0.356, 0.346, 0.298), 0)

    assert list(shown.values()) == [36, 34, 30]


def test_patient_sentence_names_only_the_hips_that_were_assessed() -> None:
    assert statements.patient_sentence(make_screening()) == (
        "Patient: osteoporosis (the worse hip)."
    )
    one = make_screening(right=METAL, left=Grade.NORMAL)
    assert statements.patient_sentence(one) == "Patient: normal (left hip only)."


def test_reason_is_a_sentence() -> None:
    for text in ("metal at the hip", "Metal at the hip.", "metal at the hip."):
        hip = Hip("L", reason=replace(METAL, text=text))

        assert statements.reason_text(hip) == "Metal at the hip."
    assert statements.reason_text(Hip("L")) == "No reason was recorded."


def test_slice_is_named_as_the_pacs_numbers_it() -> None:
    screening = make_screening(planes=(4, 8))

    names = [statements.plane_name(screening, hip) for hip in screening.hips]
    assert names == ["image 5", "image 9"]


@pytest.mark.parametrize(
    ("probabilities", "doubt"),
    [
        ((0.1, 0.7, 0.2), ""),
        ((0.1, 0.55, 0.35), "uncertain: may be osteoporosis"),
        ((0.45, 0.5, 0.05), "uncertain: may be normal"),
    ],
)
def test_grade_with_a_nearly_as_likely_one_is_uncertain(
    probabilities: tuple[float, float, float], doubt: str
) -> None:
    hip = make_screening(right=Grade.OSTEOPENIA).hips[0]
    hip = replace(hip, probabilities=dict(zip(Grade, probabilities, strict=True)))

    assert statements.uncertainty_remark(hip) == doubt
    assert ("uncertain" in statements.hip_sentence(hip)) is bool(doubt)


def test_patient_whose_hips_have_one_grade_has_it_from_both() -> None:
    one = make_screening(right=Grade.NORMAL, left=Grade.NORMAL)

    assert statements.patient_sentence(one) == "Patient: normal (both hips)."


def test_value_that_cannot_be_read_is_not_called_absent() -> None:
    headers = make_ct_headers(PatientSize=None, PatientWeight="0")
    for header in headers:
        tag = Tag("PatientSize")
        header[tag] = RawDataElement(tag, "DS", 4, b"1,70", 0, False, True)

    sentence = statements.demographics(make_screening(headers))

    assert sentence.endswith("Not in the source header: weight.")
