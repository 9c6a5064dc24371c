"""The rejection note: the old patient, exactly the old objects, valid for the validators."""

from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from tests.support.report_cases import AT, built, pictures_of
from tests.validators.run import run_validator
from worker.pipeline.capture.parametric_map import build_parametric_map
from worker.pipeline.derived_header import to_bytes, with_unused_uids
from worker.pipeline.report.rejection_note import (
    REJECTED,
    WRONG_PATIENT,
    build_rejection_note,
)

WHY = "Withdrawn by an operator of osteoscreen."


def objects_of(case: str = "both hips") -> tuple[Dataset, list[Dataset]]:
    """Return the SR of a case, and all its objects."""
    screening, _, report = built(case)
    heat_maps = build_parametric_map(screening, at=AT)
    objects = (report, *pictures_of(case), heat_maps)
    return report, [one for one in objects if one is not None]


def note_of(title: Code = REJECTED) -> Dataset:
    report, objects = objects_of()
    return build_rejection_note(report, objects, title, WHY, at=AT)


def test_titles_are_those_of_iocm() -> None:
    """IHE RAD TF-3 4.66.4.2 and 4.66.4.3; PS3.16 CID 7010."""
    assert Code("113037", "DCM", "Rejected for Patient Safety Reasons") == REJECTED
    assert Code("113038", "DCM", "Incorrect Modality Worklist Entry") == WRONG_PATIENT
    note = note_of(WRONG_PATIENT)
    assert note.ConceptNameCodeSequence[0].CodeValue == "113038"
    assert note.ContentTemplateSequence[0].TemplateIdentifier == "2010"


def test_patient_and_study_are_those_of_the_withdrawn_report() -> None:
    report, _ = objects_of()
    note = note_of()

    for keyword in (
        "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
        "StudyDate", "AccessionNumber", "StudyID", "ReferringPhysicianName",
    ):  # fmt: skip
        assert note[keyword] == report[keyword], keyword


def test_it_refers_to_exactly_the_objects_twice() -> None:
    _, objects = objects_of()
    note = note_of()

    expected = {(one.SeriesInstanceUID, one.SOPInstanceUID) for one in objects}
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    listed = {
        (series.SeriesInstanceUID, one.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert (study.StudyInstanceUID, listed) == (note.StudyInstanceUID, expected)
    items = [one for one in note.ContentSequence if "ReferencedSOPSequence" in one]
    assert [one.ValueType for one in items] == ["COMPOSITE", "IMAGE", "IMAGE", "IMAGE"]
    assert {one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in items} == {
        one.SOPInstanceUID for one in objects
    }
    texts = [one for one in note.ContentSequence if one.ValueType == "TEXT"]
    name = texts[-1].ConceptNameCodeSequence[0]
    assert name.CodeValue == codes.DCM.KeyObjectDescription.value
    assert texts[-1].TextValue == WHY


def test_its_uids_depend_on_content_and_not_on_the_time() -> None:
    report, objects = objects_of()
    later = build_rejection_note(report, objects, REJECTED, WHY, at=AT + timedelta(days=1))

    assert later.SOPInstanceUID == note_of().SOPInstanceUID
    assert note_of(WRONG_PATIENT).SOPInstanceUID != note_of().SOPInstanceUID
    assert note_of().SeriesInstanceUID not in {one.SeriesInstanceUID for one in objects}


@pytest.mark.parametrize("title", [REJECTED, WRONG_PATIENT], ids=["rejected", "wrong patient"])
@pytest.mark.parametrize(
    "validator", ["dciodvfy", "dcmtk", "dicom-validator", "highdicom", "PixelMed"]
)
def test_validator_finds_nothing(validator: str, title: Code, tmp_path: Path) -> None:
    path = tmp_path / "note.dcm"
    path.write_bytes(to_bytes(note_of(title)))

    summary = run_validator(validator, [path])

    assert (summary.errors, summary.unknown_warnings) == ((), ())


def test_an_object_gets_uids_that_no_withdrawn_object_has() -> None:
    report = deepcopy(objects_of()[0])
    first = str(report.SOPInstanceUID)
    series = str(report.SeriesInstanceUID)

    second = str(with_unused_uids(report, "sr", {first}).SOPInstanceUID)
    assert report.file_meta.MediaStorageSOPInstanceUID == second
    assert report.SeriesInstanceUID != series

    again = deepcopy(objects_of()[0])
    third = str(with_unused_uids(again, "sr", {first, second}).SOPInstanceUID)
    assert len({first, second, third}) == 3
    untouched = deepcopy(objects_of()[0])
    assert with_unused_uids(untouched, "sr", ()).SOPInstanceUID == first
