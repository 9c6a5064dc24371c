"""Covered: which series of a study are screened, what becomes of each, and the common result.

The screening of one series is replaced: its results are made of a phantom.
"""

from dataclasses import replace

import pytest

from tests.support.screened_studies import (
    METAL,
    NO_FEMUR,
    NORMAL,
    OSTEOPENIA,
    OSTEOPOROSIS,
    SCOUT,
    ScreenOne,
    screened,
    series_of,
    spine_only,
    states,
    study_of,
    uid,
)
from tests.support.spine_results import make_lumbar
from worker.pipeline.ranking.rank import rank_facts
from worker.pipeline.ranking.series_facts import SeriesFacts
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import Hip, Screening
from worker.pipeline.screen_study import REASON_PRIORITY, screen_study
from worker.pipeline.study_json import study_json


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
