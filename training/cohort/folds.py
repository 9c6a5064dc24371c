"""Folds of cross-validation: the patients who are not for testing, by a keyed hash."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from training.cohort.dataset import Hips, Record
from training.cohort.split import SplitPart, hash_position


@dataclass(frozen=True, slots=True)
class Fold:
    """One of ``folds`` folds of one repeat; ``number`` and ``repeat`` count from 0.

    ``key`` : key of the hash, that of the data set's split.
    """

    folds: int
    number: int
    repeat: int
    key: int

    def part(self, patient: str) -> SplitPart:
        """Return the part of a patient: measured, for selection and calibration, or training.

        The next fold selects the epoch and calibrates, so that nothing is chosen on the hips
        that are measured. The hash depends on no other patient, as that of the split.
        """
        position = hash_position(patient, f"osteoscreen folds {self.key} {self.repeat}")
        fold = int(position * self.folds)
        if fold == self.number:
            return "test"
        return "validation" if fold == (self.number + 1) % self.folds else "train"


def assign(hips: Hips, fold: Fold) -> Hips:
    """Return the hips with their parts in a fold; those of the locked test set have none."""
    return replace(hips, records=assign_records(hips.records, fold))


def assign_records(records: Sequence[Record], fold: Fold) -> tuple[Record, ...]:
    """Return the records with their parts in a fold; those of the locked test set have none."""
    return tuple(
        replace(record, part=None if record.part == "test" else fold.part(record.patient))
        for record in records
    )
