"""Covered: what in one series decides over the others of its study: metal at a side, reasons
against the patient, series that could not be screened.

The screening of one series is replaced: its results are made of a phantom.
"""

from dataclasses import replace

import pytest

from tests.support.screened_studies import (
    DECODED,
    METAL,
    NO_FEMUR,
    NORMAL,
    OSTEOPOROSIS,
    screened,
    states,
    study_of,
    uid,
)
from worker.pipeline.reasons import Check, Reason, ReasonCode
from worker.pipeline.results import Failed, Rejected


def test_metal_at_a_side_rules_it_out_in_all_series() -> None:
    study, _ = study_of(screened(1, OSTEOPOROSIS, NO_FEMUR), screened(2, METAL, NORMAL))

    assert study.result is not None
    assert [(hip.grade, hip.reason) for hip in study.hips] == [(None, METAL), (NORMAL, None)]
    assert study.result.grade is NORMAL
    assert study.result.series_instance_uid == uid(2)
    assert states(study) == ["not_selected", "screened"]


def test_metal_and_a_grade_decide_both_sides_so_that_no_other_series_is_screened() -> None:
    best = screened(1, METAL, NORMAL)
    study, asked = study_of(best, screened(2, NORMAL, NORMAL))

    assert asked == [1]
    assert study.result == best


def test_metal_in_a_series_without_a_grade_counts() -> None:
    no_grade = screened(2, METAL, NO_FEMUR)
    study, asked = study_of(
        screened(1, NO_FEMUR, NORMAL), no_grade, screened(3, NORMAL, NORMAL)
    )

    assert asked == [1, 2]
    assert isinstance(no_grade, Rejected)
    assert study.result is not None
    assert [(hip.grade, hip.reason) for hip in study.hips] == [(None, METAL), (NORMAL, None)]
    assert {str(ds.SeriesInstanceUID) for ds in study.result.headers} == {uid(1)}
    assert states(study) == ["screened", "rejected", "not_selected"]
    assert "right hip by series 2" in study.result.warnings[0]


def test_metal_that_ends_every_grade_leaves_nothing_to_report() -> None:
    study, _ = study_of(screened(1, NORMAL, NO_FEMUR), screened(2, METAL, METAL))

    assert study.state == "nothing_to_report"
    assert study.reason == METAL


@pytest.mark.parametrize("code", [ReasonCode.MIXED, ReasonCode.TOO_YOUNG])
def test_a_reason_against_the_patient_in_a_screened_series_rules_the_study_out(
    code: ReasonCode,
) -> None:
    veto = Reason(code, "Against the study.")
    study, asked = study_of(
        screened(1, NORMAL, NO_FEMUR),
        Rejected(uid(2), veto, checks=(DECODED,)),
        screened(3, NORMAL, NORMAL),
    )

    assert asked == [1, 2]
    assert (study.state, study.reason, study.result) == ("nothing_to_report", veto, None)
    assert states(study) == ["rejected", "rejected", "rejected"]
    assert {one.reason for one in study.series} == {veto}


def by_headers(number: int, rule: str, code: ReasonCode) -> Rejected:
    """Return a series that all its headers reject."""
    text = "Found in a header."
    return Rejected(uid(number), Reason(code, text), checks=(Check(rule, text, code),))


def test_headers_of_several_patients_in_one_series_rule_the_study_out() -> None:
    mixed = by_headers(1, "one_patient", ReasonCode.MIXED)
    study, asked = study_of(mixed, screened(2, NORMAL, NORMAL))

    assert asked == [1]
    assert (study.state, study.reason) == ("nothing_to_report", mixed.reason)


def test_headers_that_reject_a_series_yield_to_the_next_and_do_not_count() -> None:
    phases = by_headers(1, "positions", ReasonCode.MIXED)
    gaps = by_headers(2, "gaps", ReasonCode.GAPS)
    both = screened(3, NORMAL, NORMAL)
    study, asked = study_of(phases, gaps, both, max_series=1)

    assert asked == [1, 2, 3]
    assert study.result == both
    assert states(study) == ["rejected", "rejected", "screened"]


def test_a_failed_series_yields_to_the_next_with_a_warning() -> None:
    both = screened(2, NORMAL, NORMAL)
    study, asked = study_of(Failed(uid(1), "MemoryError"), both)

    assert asked == [1, 2]
    assert states(study) == ["failed", "screened"]
    assert study.series[0].error == "MemoryError"
    assert study.result is not None
    assert study.result.warnings == (
        "Study: series 1, coronal, soft kernel, ranks higher and could not be screened.",
    )
    assert replace(study.result, warnings=()) == both


def test_a_failed_series_that_ranks_lower_than_the_used_one_gives_no_warning() -> None:
    best = screened(1, NORMAL, NO_FEMUR)
    study, _ = study_of(best, Failed(uid(2), "MemoryError"))

    assert study.state == "reported"
    assert study.result == best


def test_a_study_fails_where_no_series_is_graded_and_one_could_not_be_screened() -> None:
    study, _ = study_of(Failed(uid(1), "MemoryError"), screened(2, NO_FEMUR, NO_FEMUR))

    assert (study.state, study.reason) == ("failed", None)


def test_an_error_that_the_caller_lets_pass_ends_the_run() -> None:
    with pytest.raises(OSError, match="disk"):
        study_of(OSError("disk"), screened(2, NORMAL, NORMAL))
