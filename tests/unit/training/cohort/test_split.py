"""Split by patient: no patient in two parts, shares by grade, contradictory grades."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.cohort.dataset import Record
from training.cohort.record_parts import hash_records
from training.cohort.split import LeakError, check_no_leak, part_of_patient, split_by_patient


@given(patients=st.lists(st.integers(0, 30), min_size=1, max_size=120), seed=st.integers(0, 99))
@pytest.mark.covers("R26")
def test_no_patient_is_in_two_parts_and_none_is_lost(patients: list[int], seed: int) -> None:
    strata = ["normal" if patient % 3 else "osteoporosis" for patient in patients]

    split = split_by_patient(
        patients, strata, np.random.default_rng(seed), validation_share=0.2, test_share=0.2
    )

    parts = [
        {patients[i] for i in part} for part in (split.train, split.validation, split.test)
    ]
    assert sum(len(part) for part in parts) == len(set().union(*parts)) == len(set(patients))
    indices = np.concatenate([split.train, split.validation, split.test])
    assert sorted(indices.tolist()) == list(range(len(patients)))


def test_every_grade_has_its_share_in_every_part() -> None:
    patients = np.repeat(np.arange(300), 4)
    strata = [("normal", "osteopenia", "osteoporosis")[p // 200 + (p > 250)] for p in patients]

    split = split_by_patient(
        patients, strata, np.random.default_rng(0), validation_share=0.1, test_share=0.2
    )

    for grade, count in (("normal", 200), ("osteopenia", 51), ("osteoporosis", 49)):
        in_test = {patients[i] for i in split.test if strata[i] == grade}
        in_validation = {patients[i] for i in split.validation if strata[i] == grade}
        # The share is exact to one patient, who has four hips.
        assert len(in_test) == pytest.approx(0.2 * count, abs=1)
        assert len(in_validation) == pytest.approx(0.1 * (count - len(in_test)), abs=1)


def test_three_patients_of_a_grade_are_in_all_parts() -> None:
    split = split_by_patient(
        [1, 2, 3],
        ["normal"] * 3,
        np.random.default_rng(0),
        validation_share=0.1,
        test_share=0.1,
    )

    assert [len(part) for part in (split.train, split.validation, split.test)] == [1, 1, 1]


def test_another_seed_gives_another_split() -> None:
    patients, strata = np.arange(60), ["normal"] * 60

    splits = [
        split_by_patient(
            patients, strata, np.random.default_rng(seed), validation_share=0.2, test_share=0.2
        ).test.tolist()
        for seed in (1, 1, 2)
    ]

    assert splits[0] == splits[1] != splits[2]


def test_patient_with_two_grades_is_refused() -> None:
    with pytest.raises(LeakError, match="patient 7"):
        split_by_patient(
            [7, 7],
            ["normal", "osteopenia"],
            np.random.default_rng(0),
            validation_share=0.2,
            test_share=0.2,
        )


def test_the_papers_counts_are_met() -> None:
    """Ha 2024: 593 of 3,012 for testing."""
    owners = np.repeat(np.arange(2126), np.r_[np.full(886, 2), np.ones(1240, int)])
    strata = [("a", "b", "c")[owner % 3] for owner in owners.tolist()]

    split = split_by_patient(
        owners, strata, np.random.default_rng(0), validation_share=0.2, test_share=593 / 3012
    )

    assert abs(len(split.test) - 593) <= 1
    assert abs(len(split.validation) - 0.2 * (3012 - 593)) <= 2


def test_a_leak_is_refused() -> None:
    check_no_leak(["1", "1", "2"], ["train", "train", "test"])

    with pytest.raises(LeakError, match="patient 1 is in train and test"):
        check_no_leak(["1", "2", "1"], ["train", "test", "test"])
    with pytest.raises(LeakError, match="'None' is not a part of a split"):
        check_no_leak(["1"], ["None"])


def record(patient: str) -> Record:
    return Record(patient=patient, scan=patient, side="R", t_score=0.0)


SHARES = {"validation_share": 0.2, "test_share": 0.1969}


@given(
    first=st.sets(st.text(min_size=1, max_size=12), max_size=40),
    more=st.sets(st.text(min_size=1, max_size=12), max_size=40),
)
def test_growth_moves_no_patient_between_parts(first: set[str], more: set[str]) -> None:
    before = hash_records([record(name) for name in sorted(first)], 0, {})
    after = hash_records([record(name) for name in sorted(first | more, reverse=True)], 0, {})

    grown = {one.patient: one.part for one in after}
    assert all(grown[one.patient] == one.part for one in before)


def test_hash_meets_the_shares_on_average_and_depends_on_the_seed() -> None:
    parts = [part_of_patient(f"P{n}", 0, **SHARES) for n in range(5000)]

    assert parts.count("test") / 5000 == pytest.approx(0.1969, abs=0.02)
    assert parts.count("validation") / 5000 == pytest.approx(0.2 * 0.8031, abs=0.02)
    assert parts != [part_of_patient(f"P{n}", 1, **SHARES) for n in range(5000)]
    # The values of a release are those of every later one.
    assert [part_of_patient(f"MRN{n}", 0, **SHARES) for n in range(4)] == [
        "test", "test", "train", "validation",
    ]  # fmt: skip
