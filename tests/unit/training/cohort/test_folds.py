"""Folds of cross-validation: every patient measured once, test patients in none."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hips_factory import make_hips
from training.cohort.folds import Fold, assign
from training.cohort.split import PARTS


def test_every_patient_is_measured_once_and_test_patients_are_in_no_fold() -> None:
    hips = make_hips(90, 1, hips_of_a_patient=2)
    records = tuple(
        replace(r, part=PARTS[int(r.patient[3:]) % 3])  # every third patient is for testing
        for r in hips.records
    )
    measured = []
    for number in range(5):
        found = assign(replace(hips, records=records), Fold(5, number, 0, key=7))
        parts = [set() for _ in PARTS]  # type: ignore[var-annotated]
        for record, before in zip(found.records, records, strict=True):
            assert (record.part is None) == (before.part == "test")
            if record.part is not None:
                parts[PARTS.index(record.part)].add(record.patient)
        assert sum(map(len, parts)) == len(set.union(*parts)) == 30
        assert all(parts)
        measured += sorted(parts[2])

    assert len(measured) == len(set(measured))
    assert set(measured) == {r.patient for r in records if r.part != "test"}


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1), st.integers(3, 20), st.integers(0, 5), st.integers(0, 99))
def test_a_patient_has_one_fold_of_each_role(
    patient: str, folds: int, repeat: int, key: int
) -> None:
    parts = [Fold(folds, number, repeat, key).part(patient) for number in range(folds)]

    assert parts.count("test") == parts.count("validation") == 1
    # The hips that select are those of the next fold: no run selects on what it measures.
    assert (parts.index("validation") + 1) % folds == parts.index("test")


def test_repeats_draw_other_folds() -> None:
    patients = [f"P{number}" for number in range(60)]
    of_repeat = [[Fold(5, 0, repeat, 0).part(p) for p in patients] for repeat in (0, 1)]

    assert of_repeat[0] != of_repeat[1]
