"""Parts of the split of the records of a data set: train, validation and test."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from training import presets
from training.cohort.dataset import Record
from training.cohort.split import PARTS, SplitPart, part_of_patient, split_by_patient
from worker.pipeline.grading import worse_grade
from worker.pipeline.results import Grade


def hash_records(
    records: Sequence[Record], seed: int, known: Mapping[str, SplitPart]
) -> list[Record]:
    """Return every record with its part. ``known`` : parts of patients, which they keep."""
    shares = asdict(presets.load_split())
    return [
        replace(
            record,
            part=known.get(record.patient) or part_of_patient(record.patient, seed, **shares),
        )
        for record in records
    ]


def edited_patients(records: Sequence[Record], seed: int) -> list[str]:
    """Return the patients whose part is not that of the hash: it was edited, and is kept."""
    drawn = hash_records(records, seed, {})
    return sorted({a.patient for a, b in zip(records, drawn, strict=True) if a.part != b.part})


def missing_grades(records: Sequence[Record]) -> list[str]:
    """Return the parts without a hip of some grade, as sentences."""
    found = {(record.part, record.grade) for record in records}
    return [
        f"the part {part} has no hip with {grade.value}"
        for part in PARTS
        for grade in Grade
        if (part, grade) not in found
    ]


def split_records(records: Sequence[Record], seed: int) -> list[Record]:
    """Return every record with its part of the split, stratified by the patient's grade."""
    shares = presets.load_split()
    split = split_by_patient(
        [record.patient for record in records],
        [grade.value for grade in patient_grades(records)],
        np.random.default_rng([seed, 1]),
        validation_share=shares.validation_share,
        test_share=shares.test_share,
    )
    result = list(records)
    for part in PARTS:
        for index in getattr(split, part).tolist():
            result[index] = replace(records[index], part=part)
    return result


def patient_grades(records: Sequence[Record]) -> list[Grade]:
    """Return the grade of each record's patient: the worst of the patient's hips."""
    worst: dict[str, Grade] = {}
    for record in records:
        previous = worst.get(record.patient, record.grade)
        worst[record.patient] = worse_grade((record.grade, previous))
    return [worst[record.patient] for record in records]
