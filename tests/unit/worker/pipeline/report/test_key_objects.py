"""Covered: content of the key object selection of a result, and what the validators say."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import Dataset

from tests.support.report_cases import AT, built, pictures_of
from tests.validators.run import run_validator
from worker.pipeline.derived_header import to_bytes
from worker.pipeline.report.key_objects import build_key_objects
from worker.pipeline.report.rejection_note import REJECTED, build_rejection_note


def selection_of(case: str, at: timedelta = timedelta()) -> Dataset:
    screening, _, report = built(case)
    return build_key_objects(screening, report, pictures_of(case)[0], at=AT + at)


def named_by(selection: Dataset) -> list[str]:
    return [
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in selection.ContentSequence
        if item.ValueType == "IMAGE"
    ]


@pytest.mark.parametrize("case", ["both hips", "two planes", "right only, left metal"])
def test_it_names_the_result_picture_and_the_slices_of_the_graded_hips(case: str) -> None:
    screening, _, report = built(case)
    selection = selection_of(case)
    planes = [hip.plane for hip in screening.hips if hip.plane is not None]

    slices = list(dict.fromkeys(plane.source_sop_uid for plane in planes))
    assert named_by(selection) == [pictures_of(case)[0].SOPInstanceUID, *slices]
    assert selection.ConceptNameCodeSequence[0].CodeValue == "113000"
    assert selection.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    assert (selection.Modality, selection.SeriesNumber) == ("KO", 9004)
    assert selection.PatientID == report.PatientID
    assert selection.StudyInstanceUID == report.StudyInstanceUID


def test_of_a_reformatted_plane_it_names_the_slice_through_the_neck() -> None:
    screening, _, _ = built("axial")
    _, *slices = named_by(selection_of("axial"))
    by_uid = {str(ds.SOPInstanceUID): ds for ds in screening.headers}

    # Both necks of the phantom are at the same height.
    (neck,) = slices
    height_mm = float(by_uid[neck].ImagePositionPatient[2])
    assert screening.hips[0].femur is not None
    assert height_mm == pytest.approx(screening.hips[0].femur.neck_mm[2], abs=1.5)


def test_frames_of_one_object_are_named_by_number() -> None:
    frames = [
        item.ReferencedSOPSequence[0].get("ReferencedFrameNumber")
        for item in selection_of("frames of an enhanced CT").ContentSequence
        if item.ValueType == "IMAGE"
    ]

    assert frames == [None, 6, 8]


def test_its_uids_depend_on_content_and_not_on_the_time() -> None:
    now, later = (selection_of("both hips", timedelta(days=days)) for days in (0, 1))

    assert now.SOPInstanceUID == later.SOPInstanceUID
    assert now.SeriesInstanceUID == later.SeriesInstanceUID
    assert selection_of("axial").SOPInstanceUID != now.SOPInstanceUID


def test_the_note_of_a_withdrawn_result_names_it_as_a_document() -> None:
    report, selection = built("both hips")[2], selection_of("both hips")
    note = build_rejection_note(report, [report, selection], REJECTED, "Withdrawn.", at=AT)

    items = [one for one in note.ContentSequence if "ReferencedSOPSequence" in one]
    assert [one.ValueType for one in items] == ["COMPOSITE", "COMPOSITE"]


@pytest.mark.parametrize(
    "validator", ["dciodvfy", "dcmtk", "dicom-validator", "highdicom", "PixelMed"]
)
def test_validator_finds_nothing(validator: str, tmp_path: Path) -> None:
    paths = []
    for case in ("both hips", "axial", "frames of an enhanced CT"):
        paths.append(tmp_path / f"{case}.dcm")
        paths[-1].write_bytes(to_bytes(selection_of(case)))

    summary = run_validator(validator, paths)

    assert (summary.errors, summary.unknown_warnings) == ((), ())
