"""Covered: which series of a study are screened, what becomes of each, and the common result.

The screening of one series is replaced: its results are made of a phantom.
"""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.support.factories import make_ct_headers, make_screening
from tests.support.spine_results import make_lumbar, make_spine_screening
from worker.pipeline.ranking.rank import Ranking, rank_facts
from worker.pipeline.ranking.series_facts import SeriesFacts
from worker.pipeline.reasons import Check, Reason, ReasonCode
from worker.pipeline.results import Failed, Grade, Hip, Rejected, Screening
from worker.pipeline.screen_study import REASON_PRIORITY, StudyScreening, screen_study
from worker.pipeline.study_json import study_json
from worker.pipeline.volume import Side

METAL = Reason(ReasonCode.METAL, "Metal at the hip.")
NO_FEMUR = Reason(ReasonCode.NO_FEMUR, "Not in the field of view.")
DECODED = Check("pixels", "12 slices decoded.")
SCOUT = Reason(ReasonCode.LOCALIZER, "A scout.")
NORMAL, OSTEOPENIA, OSTEOPOROSIS = Grade

Result = Screening | Rejected | Failed | Exception


def uid(number: int) -> str:
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
    screen_one = ScreenOne(dict(enumerate(results, 1)))
    study = screen_study(ranking_of(len(results), rejected), screen_one, max_series=max_series)
    return study, screen_one.asked


def states(study: StudyScreening) -> list[str]:
    return [one.state for one in study.series]


def series_of(study: StudyScreening, side: Side) -> str:
    return next(hip.series_instance_uid for hip in study.hips if hip.side == side)


def test_a_series_with_both_hips_ends_the_search_and_its_result_is_unchanged() -> None:
    best = screened(1, NORMAL, OSTEOPENIA, "Noise of 40 HU.")
    study, asked = study_of(best, screened(2, NORMAL, NORMAL), rejected=SCOUT)

    assert asked == [1]
    assert study.state == "reported"
    assert study.result == best
    assert states(study) == ["screened", "not_selected", "rejected"]
    reason = study.series[1].reason
    assert reason is not None
    assert reason.code is ReasonCode.NOT_SELECTED
    assert reason.text == (
        "Series 1, coronal, soft kernel, was preferred (coverage: more before less)."
    )


def test_a_lower_ranked_series_with_both_hips_is_used_alone() -> None:
    both = screened(2, NORMAL, OSTEOPENIA)
    study, asked = study_of(screened(1, OSTEOPOROSIS, NO_FEMUR), both)

    assert asked == [1, 2]
    assert study.result == both
    assert states(study) == ["not_selected", "screened"]
    assert "more hips are graded" in (study.series[0].reason or NO_FEMUR).text


def test_each_side_is_of_the_highest_ranked_series_that_grades_it() -> None:
    study, asked = study_of(
        screened(1, NO_FEMUR, NORMAL, "Noise of 40 HU.", "Demographics."),
        screened(2, NO_FEMUR, OSTEOPOROSIS),
        screened(3, OSTEOPENIA, NO_FEMUR, "Motion.", "Demographics."),
        screened(4, NORMAL, NORMAL),
    )

    assert asked == [1, 2, 3]
    assert study.result is not None
    assert study.result.grade is OSTEOPENIA
    assert [hip.grade for hip in study.hips] == [OSTEOPENIA, NORMAL]
    assert (series_of(study, "R"), series_of(study, "L")) == (uid(3), uid(1))
    assert states(study) == ["screened", "not_selected", "screened", "not_selected"]
    assert study.result.series_instance_uid == uid(1)
    assert {str(ds.SeriesInstanceUID) for ds in study.result.headers} == {uid(1), uid(3)}
    assert study.result.warnings == (
        "Study: no series grades both hips: right hip by series 3, coronal, soft kernel; "
        "left hip by series 1, coronal, soft kernel.",
        "Demographics.",
        "Noise of 40 HU (series 1, coronal, soft kernel).",
        "Motion (series 3, coronal, soft kernel).",
    )


@pytest.mark.parametrize("frame", ["1.2.3", None])
def test_a_side_in_another_frame_of_reference_is_not_put_beside_the_first(
    frame: str | None,
) -> None:
    best = screened(1, NO_FEMUR, NORMAL)
    moved = screened(2, OSTEOPENIA, NO_FEMUR)
    assert isinstance(moved, Screening)
    for ds in moved.headers:
        ds.FrameOfReferenceUID = frame

    study, asked = study_of(best, moved)

    assert asked == [1, 2]
    assert study.result == best


def test_a_series_that_adds_nothing_leaves_the_result_of_the_best_unchanged() -> None:
    best = screened(1, NORMAL, NO_FEMUR)
    study, asked = study_of(best, screened(2, OSTEOPOROSIS, NO_FEMUR), max_series=2)

    assert asked == [1, 2]
    assert study.result == best


def test_at_most_so_many_series_are_screened() -> None:
    study, asked = study_of(*(screened(n, NO_FEMUR, NO_FEMUR) for n in (1, 2, 3)), max_series=2)

    assert asked == [1, 2]
    assert study.state == "nothing_to_report"
    assert states(study) == ["rejected", "rejected", "not_selected"]
    assert study.reason == NO_FEMUR


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


def test_a_study_of_rejected_series_gets_the_most_telling_reason() -> None:
    sagittal = Reason(ReasonCode.ORIENTATION, "Sagittal slices.")
    facts = [SeriesFacts(uid(1), SCOUT), SeriesFacts(uid(2), sagittal)]
    study = screen_study(rank_facts(facts), ScreenOne({}))

    assert (study.state, study.reason, study.hips) == ("nothing_to_report", sagittal, ())


def test_every_reason_has_a_place_among_those_of_a_study() -> None:
    assert sorted(REASON_PRIORITY) == sorted(ReasonCode)


def test_the_hips_of_a_study_without_a_result_are_those_of_the_best_series() -> None:
    study, _ = study_of(screened(1, METAL, METAL), screened(2, NO_FEMUR, METAL))

    assert study.hips == tuple(
        Hip(side=side, reason=METAL, series_instance_uid=uid(1)) for side in ("R", "L")
    )


def test_a_spine_is_reported_where_no_series_grades_a_hip() -> None:
    spine = spine_only(2)
    study, asked = study_of(screened(1, NO_FEMUR, NO_FEMUR), spine, spine_only(3))

    assert asked == [1, 2, 3]
    assert (study.state, study.result) == ("reported", spine)
    assert states(study) == ["rejected", "screened", "not_selected"]
    entry = study_json("1.2", study)
    assert (entry["state"], entry["grade"], entry["model"]) == ("reported", None, None)
    assert [one["site"] for one in entry["measurements"]] == ["L1", "L2", "L3", "L4"]


def test_hips_of_a_lower_ranked_series_stand_beside_the_spine_of_a_higher_one() -> None:
    spine, hips = spine_only(1), screened(2, OSTEOPENIA, NORMAL)
    study, asked = study_of(spine, hips)

    assert asked == [1, 2]
    assert study.result is not None
    assert study.result.series_instance_uid == uid(2)
    assert study.result.grade is OSTEOPENIA
    assert study.result.lumbar is spine.lumbar
    assert states(study) == ["screened", "screened"]
    series = {str(ds.SeriesInstanceUID) for ds in study.result.all_headers}
    assert series == {uid(1), uid(2)}


def test_a_series_that_measures_only_the_spine_yields_to_one_with_hips_and_spine() -> None:
    hips = screened(2, NO_FEMUR, NORMAL)
    both = replace(hips, lumbar=make_lumbar(SeriesInstanceUID=uid(2)))
    study, _ = study_of(spine_only(1), both)

    assert study.result == both
    assert states(study) == ["not_selected", "screened"]
    assert "more hips are graded" in (study.series[0].reason or NO_FEMUR).text
