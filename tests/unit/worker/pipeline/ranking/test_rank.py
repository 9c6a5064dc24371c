"""Covered: the order of the series of a study, rejected ones, and reasons against the study."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from common.dicom.series_rules import SeriesProperties, read_rules
from worker.pipeline.ranking.rank import Ranking, rank_facts, why_preferred
from worker.pipeline.ranking.series_facts import SeriesFacts
from worker.pipeline.reasons import Reason, ReasonCode


def facts(uid: str, **values: Any) -> SeriesFacts:
    usual: dict[str, Any] = {
        "reason": None, "images": 100, "orientation": "coronal", "thickness_mm": 3.0,
        "kernel": "soft", "covered_l": 30.0,
    }  # fmt: skip
    return SeriesFacts(uid, **{**usual, **values})


def order_of(*series: SeriesFacts) -> list[str]:
    return [one.series_instance_uid for one in rank_facts(series).candidates]


BEST_FIRST = [
    facts("9.1", phase="portal"),
    facts("9.2"),
    facts("9.3", thickness_mm=5.0, phase="portal"),
    facts("9.4", phase="other"),
    facts("9.5", orientation="axial", thickness_mm=3.0),
    facts("8.6", orientation="axial", thickness_mm=5.0, original=True),
    facts("8.7", orientation="axial", thickness_mm=5.0, covered_l=40.0),
    facts("8.8", orientation="axial", thickness_mm=5.0),
    facts("8.9", orientation="axial", thickness_mm=7.0),
    facts("7.1", kernel="unknown", phase="portal"),
    facts("6.1", kernel="sharp", phase="portal"),
    facts("6.2", kernel="sharp", phase="portal"),
    facts("6.3", kernel="sharp", orientation="axial", thickness_mm=1.0, original=True),
]


def test_kernel_before_plane_before_phase_before_original_before_coverage() -> None:
    expected = [one.series_instance_uid for one in BEST_FIRST]
    rng = np.random.default_rng(7)
    for _ in range(10):
        assert order_of(*(BEST_FIRST[i] for i in rng.permutation(len(expected)))) == expected


@pytest.mark.parametrize("thickness_mm", [1.0, 1.9, 4.1, 6.0, None])
def test_coronal_slices_unlike_those_of_the_paper_come_after_them_and_before_axial_ones(
    thickness_mm: float | None,
) -> None:
    series = [
        facts("1", orientation="axial", thickness_mm=1.0),
        facts("2", thickness_mm=thickness_mm),
        facts("3", thickness_mm=2.0),
        facts("4", thickness_mm=4.0),
    ]
    assert order_of(*series) == ["3", "4", "2", "1"]


def test_ranks_count_from_one_and_rejected_series_follow_by_number() -> None:
    scout = Reason(ReasonCode.LOCALIZER, "A scout.")
    ranking = rank_facts(
        [
            facts("5", reason=scout, number=9),
            facts("4", reason=scout, number=1),
            *BEST_FIRST[:2],
        ]
    )

    assert [entry.rank for entry in ranking.entries] == [1, 2, None, None]
    assert [entry.series_instance_uid for entry in ranking.entries[2:]] == ["4", "5"]
    assert {entry.state for entry in ranking.candidates} == {"candidate"}
    assert [entry.reason for entry in ranking.entries[2:]] == [scout, scout]


def test_a_series_outside_of_the_rules_is_rejected_and_a_localizer_keeps_its_reason() -> None:
    lung = SeriesProperties({"description": "Lung"})
    scout = Reason(ReasonCode.LOCALIZER, "A scout.")
    ranking = rank_facts(
        [facts("1", properties=lung), facts("2", properties=lung, reason=scout), facts("3")],
        read_rules([{"exclude": {"description": "lung"}}]),
    )

    by_uid = {entry.series_instance_uid: entry for entry in ranking.entries}
    assert by_uid["1"].reason == Reason(
        ReasonCode.EXCLUDED, "Outside of SERIES_RULES: rule 1 excludes it."
    )
    assert by_uid["2"].reason == scout
    assert by_uid["3"].rank == 1


def identity(name: str, identifier: str = "P1") -> tuple[Any, ...]:
    return (
        (("PatientID", ""), identifier, identifier),
        (("PatientName", "alphabetic 0"), name, name.casefold()),
    )


def rejected_codes(ranking: Ranking) -> list[str | None]:
    return [entry.reason.code if entry.reason else None for entry in ranking.entries]


def test_a_study_of_two_patients_has_no_candidates_even_if_one_is_in_a_localizer() -> None:
    scout = Reason(ReasonCode.LOCALIZER, "A scout.")
    other = facts("3", reason=scout, identity=identity("Miller", "P2"))
    same = [facts("1", identity=identity("Doe")), facts("2", identity=identity("DOE"))]

    assert rank_facts(same).veto is None
    ranking = rank_facts([*same, other])
    assert ranking.candidates == ()
    assert ranking.veto is not None
    assert "2 values of PatientID, 2 values of PatientName" in ranking.veto.text
    assert rejected_codes(ranking) == ["MIXED", "MIXED", "LOCALIZER"]


def test_a_series_without_a_name_belongs_to_the_patient_of_the_others() -> None:
    assert len(order_of(facts("1", identity=identity("Doe")), facts("2"))) == 2


def test_an_age_in_any_header_rules_the_study_out() -> None:
    young = Reason(ReasonCode.TOO_YOUNG, "The patient is younger.")
    scout = Reason(ReasonCode.LOCALIZER, "A scout.")
    ranking = rank_facts([facts("1"), facts("2", reason=scout, against_patient=young)])

    assert ranking.veto == young
    assert rejected_codes(ranking) == ["TOO_YOUNG", "LOCALIZER"]


def test_the_first_differing_rule_says_why_a_series_was_preferred() -> None:
    first, second = rank_facts([facts("1"), facts("2", kernel="sharp")]).candidates
    assert why_preferred(first, second) == "kernel: soft before sharp"
    equal = rank_facts([facts("1"), replace(facts("1"), series_instance_uid="2")]).candidates
    assert why_preferred(*equal).startswith("equal by all rules")


def test_a_study_without_series_has_an_empty_ranking() -> None:
    assert rank_facts([]) == Ranking(())
