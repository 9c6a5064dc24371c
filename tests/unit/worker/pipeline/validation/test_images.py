"""Covered: headers that can or cannot be one CT volume, with missing and malformed values."""

import pytest
from pydicom import DataElement, Dataset
from pydicom.uid import EnhancedCTImageStorage, MRImageStorage, SecondaryCaptureImageStorage

from tests.support.ct_volume import AXIAL, CORONAL, alter, ct_headers
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.validation.images import check_images
from worker.pipeline.validation.rules import first_failure


def series(**elements: object) -> list[Dataset]:
    return ct_headers(12, **elements)  # type: ignore[arg-type]


def one_changed(keyword: str, value: object) -> list[Dataset]:
    headers = series()
    alter(headers[5], keyword, value)
    return headers


def test_plain_coronal_and_axial_series_are_images_of_a_volume() -> None:
    assert first_failure(check_images(ct_headers(12, directions=CORONAL))) is None
    assert first_failure(check_images(ct_headers(12, directions=AXIAL))) is None


@pytest.mark.parametrize(
    ("elements", "code", "words"),
    [
        ({"SOPClassUID": MRImageStorage, "Modality": "MR"}, ReasonCode.NOT_CT, "MR"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, ReasonCode.NOT_CT, "CT"),
        ({"SOPClassUID": None, "Modality": None}, ReasonCode.NOT_CT, "unknown"),
        ({"Modality": "MR"}, ReasonCode.NOT_CT, "class CT Image Storage, Modality MR"),
        ({"Modality": "PT"}, ReasonCode.NOT_CT, "Modality PT"),
        ({"Modality": "Miller^Jane"}, ReasonCode.NOT_CT, "Modality unknown"),
        ({"PhotometricInterpretation": "RGB"}, ReasonCode.NOT_CT, "RGB"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, ReasonCode.NOT_CT, "MONOCHROME1"),
        (
            {"ImageType": ["DERIVED", "SECONDARY", "MIP"]},
            ReasonCode.NOT_CT,
            "maximum intensity",
        ),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, ReasonCode.LOCALIZER, "12 of 12"),
        ({"ImageType": ["DERIVED", "SECONDARY", "DOSE_INFO"]}, ReasonCode.LOCALIZER, "dose"),
        ({"SOPClassUID": EnhancedCTImageStorage}, ReasonCode.UNDECODABLE, "0 of 1"),
        ({"NumberOfFrames": 80}, ReasonCode.UNDECODABLE, "80 frames"),
        ({"VolumeBasedCalculationTechnique": "MAX_IP"}, ReasonCode.NOT_CT, "MAX_IP"),
        ({"RescaleType": "Z_EFF"}, ReasonCode.NOT_CT, "Z_EFF"),
        ({"RescaleType": "Jane^Miller"}, ReasonCode.NOT_CT, "unknown unit"),
        ({"PixelSpacing": None}, ReasonCode.UNDECODABLE, "12 of 12"),
        ({"PixelSpacing": [0, 0]}, ReasonCode.UNDECODABLE, "spacing"),
        ({"PixelSpacing": [10**400, 1]}, ReasonCode.UNDECODABLE, "spacing"),
        ({"PixelSpacing": ["abc", "0.8"]}, ReasonCode.UNDECODABLE, "spacing"),
        ({"ImageOrientationPatient": None}, ReasonCode.ORIENTATION, "orientation"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, ReasonCode.ORIENTATION, "12 of 12"),
        ({"ImagePositionPatient": None}, ReasonCode.ORIENTATION, "position"),
        ({"ImagePositionPatient": ["1", "x", "3"]}, ReasonCode.ORIENTATION, "position"),
        ({"ImagePositionPatient": ["1", "nan", "3"]}, ReasonCode.ORIENTATION, "position"),
    ],
)
def test_a_whole_series_with_a_fault_gets_its_reason(
    elements: dict[str, object], code: ReasonCode, words: str
) -> None:
    reason = first_failure(check_images(series(**elements)))

    assert reason is not None
    assert reason.code is code
    assert words in reason.text


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [
        ("PatientID", "P2", ReasonCode.MIXED),
        ("StudyInstanceUID", "1.2.3", ReasonCode.MIXED),
        ("FrameOfReferenceUID", "1.2.3", ReasonCode.MIXED),
        ("Columns", 7, ReasonCode.MIXED),
        ("PixelSpacing", [0.9, 0.9], ReasonCode.MIXED),
        ("ImageOrientationPatient", [1, 0, 0, 0, 1, 0], ReasonCode.MIXED),
        ("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"], ReasonCode.LOCALIZER),
        ("ImagePositionPatient", None, ReasonCode.ORIENTATION),
        ("PixelSpacing", None, ReasonCode.UNDECODABLE),
    ],
)
def test_one_image_that_differs_is_enough(
    keyword: str, value: object, code: ReasonCode
) -> None:
    reason = first_failure(check_images(one_changed(keyword, value)))

    assert reason is not None
    assert reason.code is code


@pytest.mark.covers("T11")
def test_reasons_never_carry_patient_data() -> None:
    reason = first_failure(check_images(one_changed("PatientID", "SECRET")))

    assert reason is not None
    assert "SECRET" not in reason.text


@pytest.mark.parametrize("modality", ["CT", "", None, "ct "])
def test_empty_modality_does_not_contradict_the_class(modality: str | None) -> None:
    assert first_failure(check_images(series(Modality=modality))) is None


@pytest.mark.parametrize(
    "rescale_type", ["HU", "US", "hu ", "Hounsfield", "HOUNSFIELD UNITS", "unspecified"]
)
def test_rescale_types_that_mean_hu_are_accepted(rescale_type: str) -> None:
    assert first_failure(check_images(series(RescaleType=rescale_type))) is None


def test_missing_image_type_and_empty_values_are_normal() -> None:
    assert (
        first_failure(
            check_images(series(ImageType=None, FrameOfReferenceUID=None, PatientID=None))
        )
        is None
    )


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize(
    "value", [None, "", "../../x", "1.2.x", "1." * 40 + "1", ["1.2", "1.3"]]
)
def test_images_without_a_usable_uid_are_undecodable(keyword: str, value: object) -> None:
    """Files are named by the series' UID: one with a path in it would leave its folder."""
    reason = first_failure(check_images(series(**{keyword: value})))

    assert reason is not None
    assert reason.code is ReasonCode.UNDECODABLE
    assert "12 of 12" in reason.text


def test_image_type_that_is_no_text_is_ignored() -> None:
    headers = series()
    for ds in headers:
        ds["ImageType"] = DataElement("ImageType", "US", 1)

    assert first_failure(check_images(headers)) is None


def test_uid_with_leading_zeros_is_accepted_as_the_scp_does() -> None:
    assert first_failure(check_images(series(StudyInstanceUID="1.2.03.4"))) is None


@pytest.mark.parametrize(
    "elements",
    [
        {"PhotometricInterpretation": "Miller^Jane"},
        {"SOPClassUID": MRImageStorage, "Modality": ["MR", "Miller^Jane"]},
    ],
)
def test_parts_of_a_damaged_header_are_not_quoted_in_the_reason(
    elements: dict[str, object],
) -> None:
    reason = first_failure(check_images(series(**elements)))

    assert reason is not None
    assert reason.code is ReasonCode.NOT_CT
    assert "Miller" not in reason.text
