"""Covered: the agreement figures of known tables."""

import pytest

from worker.models.agreement import Pair, agreement
from worker.pipeline.results import Grade

N, OP, OS = Grade.NORMAL, Grade.OSTEOPENIA, Grade.OSTEOPOROSIS


def pair(live: Grade | None, candidate: Grade | None, differs: float = 0.0) -> Pair:
    return Pair(live, candidate, None if live is None else 0.5, 0.5 + differs)


def test_two_equal_models_agree_fully() -> None:
    found = agreement([pair(grade, grade) for grade in (N, OP, OS) for _ in range(4)])

    assert found.counts == ((4, 0, 0), (0, 4, 0), (0, 0, 4))
    assert found.share == 1.0
    assert found.kappa == pytest.approx(1.0)
    # Wilson for 12 of 12: 12 / (12 + 1.96²).
    assert found.share_95 == (pytest.approx(0.7575, abs=1e-4), pytest.approx(1.0))


def test_a_guessing_candidate_has_kappa_0_and_distant_grades_lower_it_more() -> None:
    guessing = agreement([pair(a, b) for a in (N, OP, OS) for b in (N, OP, OS)])
    near = agreement([*[pair(g, g) for g in (N, OP, OS)] * 5, pair(N, OP)])
    far = agreement([*[pair(g, g) for g in (N, OP, OS)] * 5, pair(N, OS)])

    assert guessing.kappa == pytest.approx(0.0)
    assert guessing.share == pytest.approx(1 / 3)
    assert near.share == far.share
    assert near.kappa == pytest.approx(20 / 21)
    assert far.kappa == pytest.approx(145 / 177)


def test_refused_hips_are_counted_and_not_compared() -> None:
    found = agreement([pair(N, None), pair(None, OP), pair(None, None), pair(OS, OS, 0.2)])

    assert found.hips == 4
    assert sum(map(sum, found.counts)) == 1
    assert (found.refused_by_candidate_only, found.refused_by_live_only) == (1, 1)
    assert found.osteoporosis_difference == pytest.approx(0.2)


def test_without_a_hip_graded_by_both_there_are_no_figures() -> None:
    found = agreement([pair(N, None)])

    assert (found.share, found.share_95, found.kappa, found.osteoporosis_difference) == (
        None,
        None,
        None,
        None,
    )
    assert found.to_json()["agreement"] is None
