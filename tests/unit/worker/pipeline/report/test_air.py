"""Covered: IHE Radiology AI Results (AIR, Rev. 1.3), requirement by requirement.

6.5.3.1: the attributes of each algorithm that a creator of results shall write, and the content
items that shall be equal to them. RAD-136: the result primitives that a display shall show.
Not covered: the use of them by a display (``tests.validators.readers``).
"""

import pytest
from pydicom import Dataset

from tests.support.report_cases import CASES, built
from tests.support.report_tree import groups, items, named, value
from worker.pipeline.report.regions import SopClass

BOTH: tuple[SopClass, SopClass] = ("comprehensive3d", "comprehensive")

pytestmark = pytest.mark.parametrize("case", CASES)


def algorithms(ds: Dataset) -> list[Dataset]:
    """Return our items of the contributing equipment; the device observer is the last."""
    return [
        item
        for item in ds.ContributingEquipmentSequence
        if item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    ]


def processing(report: Dataset) -> Dataset:
    return algorithms(report)[-1]


def texts(report: Dataset, code_value: str) -> set[str]:
    return {item.TextValue for item in named(report, code_value)}


def test_findings_are_a_comprehensive_3d_sr_of_the_root_template_1500(case: str) -> None:
    report = built(case)[2]

    assert report.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert report.ContentTemplateSequence[0].MappingResource == "DCMR"
    assert report.ConceptNameCodeSequence[0].CodeValue == "126000"


def test_each_algorithm_is_contributing_equipment_with_every_attribute(case: str) -> None:
    for ds in built(case)[1:]:
        for equipment in algorithms(ds):
            check_equipment(equipment)


def check_equipment(equipment: Dataset) -> None:
    purpose = equipment.PurposeOfReferenceCodeSequence[0]

    assert purpose.CodingSchemeDesignator == "DCM"
    assert purpose.CodeMeaning == "Processing Equipment"
    for keyword in (
        "Manufacturer",
        "ManufacturerModelName",
        "SoftwareVersions",
        "DeviceUID",
    ):
        assert equipment[keyword].value, keyword


@pytest.mark.parametrize("sop_class", BOTH)
def test_manufacturer_is_that_of_the_device_observer(case: str, sop_class: SopClass) -> None:
    report = built(case, sop_class)[2]

    assert texts(report, "121014") == {processing(report).Manufacturer}


@pytest.mark.parametrize("sop_class", BOTH)
def test_model_name_is_that_of_observer_and_algorithm(case: str, sop_class: SopClass) -> None:
    report = built(case, sop_class)[2]

    assert texts(report, "121015") == {processing(report).ManufacturerModelName}
    expected = {one.ManufacturerModelName for one in algorithms(report)}
    assert texts(report, "111001") == expected


@pytest.mark.parametrize("sop_class", BOTH)
def test_software_version_is_that_of_the_algorithm(case: str, sop_class: SopClass) -> None:
    report = built(case, sop_class)[2]

    assert texts(report, "111003") == {one.SoftwareVersions for one in algorithms(report)}


@pytest.mark.parametrize("sop_class", BOTH)
def test_device_uid_is_that_of_the_observer(case: str, sop_class: SopClass) -> None:
    report = built(case, sop_class)[2]

    assert {item.UID for item in named(report, "121012")} == {processing(report).DeviceUID}


def test_equipment_of_report_and_picture_is_the_same(case: str) -> None:
    _, capture, report = built(case)

    for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceUID"):
        assert processing(capture)[keyword].value == processing(report)[keyword].value


def test_procedure_reported_is_the_imaging_procedure(case: str) -> None:
    (procedure,) = named(built(case)[2], "121058")

    assert procedure.ConceptCodeSequence[0].CodingSchemeDesignator == "LN"


def test_every_primitive_that_a_display_shows_is_present(case: str) -> None:
    """Qualitative finding, measurement, region, tracking identifier, image reference."""
    screening, _, report = built(case)

    assert len(named(report, "121077")) == 1
    assert groups(report)
    for group in groups(report):
        kinds = [item.ValueType for item in items(group)]
        assert "NUM" in kinds
        assert {"SCOORD", "SCOORD3D"} & set(kinds)
        assert len(named(group, "112039")) == len(named(group, "112040")) == 1
        assert [value(item) for item in group.ContentSequence if item in named(group, "121071")]
    shown = {
        str(one.ReferencedSOPInstanceUID)
        for item in named(report, "126200")
        for child in items(item)
        for one in child.get("ReferencedSOPSequence", ())
    }
    assert shown
    assert shown <= {str(header.SOPInstanceUID) for header in screening.all_headers}


def test_picture_is_beside_the_report_and_the_report_refers_to_it(case: str) -> None:
    """A Secondary Capture may be sent beside the report, never instead of it."""
    _, capture, report = built(case)

    assert {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in named(report, "130401")
    } == {str(capture.SOPInstanceUID)}
    assert capture.SeriesInstanceUID != report.SeriesInstanceUID
    assert capture.StudyInstanceUID == report.StudyInstanceUID
