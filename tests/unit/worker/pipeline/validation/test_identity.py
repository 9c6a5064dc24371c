"""Covered: two patients in a series by each attribute, and one patient written in two ways."""

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from tests.support.ct_volume import alter, ct_headers
from worker.pipeline.frames import frame_headers
from worker.pipeline.header_values import source_header
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.validation.identity import identity_of, is_same_patient, one_patient

PATIENT = {
    "PatientID": "P1",
    "IssuerOfPatientID": "HOSPITAL",
    "PatientName": "Miller^Jane",
    "PatientBirthDate": "19500601",
    "PatientSex": "F",
}


def series(*changes: dict[str, object]) -> list[Dataset]:
    """Return six headers, of which the first have these changes."""
    headers = ct_headers(6, **PATIENT)  # type: ignore[arg-type]
    for ds, elements in zip(headers, changes, strict=False):
        for keyword, value in elements.items():
            alter(ds, keyword, value)
    return headers


def named(*names: tuple[str, bytes]) -> list[Dataset]:
    """Return one header for each pair of character set and encoded name."""
    headers = ct_headers(len(names), PatientID="P1")
    for ds, (character_set, name) in zip(headers, names, strict=True):
        ds.SpecificCharacterSet = character_set
        tag = Tag("PatientName")
        ds[tag] = RawDataElement(tag, "PN", len(name), name, 0, False, True)
    return headers


def issuer(universal_id: str) -> dict[str, object]:
    item = Dataset()
    item.UniversalEntityID, item.UniversalEntityIDType = universal_id, "ISO"
    return {"IssuerOfPatientIDQualifiersSequence": [item]}


def is_mixed(headers: list[Dataset]) -> bool:
    result = one_patient(headers)
    return isinstance(result, Reason) and result.code is ReasonCode.MIXED


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", "P2"),
        ("IssuerOfPatientID", "OTHER"),
        ("PatientName", "Miller^John"),
        ("PatientBirthDate", "19500602"),
        ("PatientSex", "M"),
    ],
)
@pytest.mark.covers("H8")
def test_one_attribute_that_differs_in_one_image_is_another_patient(
    keyword: str, value: str
) -> None:
    assert not is_mixed(series())

    reason = one_patient(series({keyword: value}))

    text = f"The images belong to several patients (2 values of {keyword})."
    assert reason == Reason(ReasonCode.MIXED, text)
    assert is_mixed(series({keyword: value}, {keyword: ""}))
    assert not is_mixed(series({keyword: ""}, {keyword: None}))


def test_without_patient_id_the_other_attributes_decide() -> None:
    none = {"PatientID": ""}

    assert is_mixed(series(*[none | {"PatientName": "Other^One"}] * 3, *[none] * 3))
    assert not is_mixed(series(*[none] * 6))


def test_qualifiers_of_the_issuer_are_compared() -> None:
    assert is_mixed(series(issuer("1.2.3"), issuer("1.2.4")))
    assert not is_mixed(series(issuer("1.2.3"), issuer("1.2.3")))


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", " P1 "),
        ("PatientName", "MILLER^JANE"),
        ("PatientName", "Miller^Jane^^^"),
        ("PatientName", "Miller ^ Jane"),
        ("PatientName", "Miller^Jane^Anne"),
        ("PatientName", "MILLER, JANE"),
        ("PatientName", "Miller,^Jane."),
        ("PatientName", "Miller^Jane^^Dr"),
        ("PatientName", "Míller^Jané"),
        ("PatientName", "Miller^Jane=山田^太郎"),
        ("PatientName", "=山田^太郎"),
        ("PatientBirthDate", "1950.06.01"),
        ("PatientBirthDate", "1950-06-01"),
        ("PatientBirthDate", "00000000"),
        ("PatientSex", "f"),
        ("PatientSex", "FEMALE"),
        ("PatientSex", "O"),
        ("PatientSex", "U"),
    ],
)
def test_one_patient_written_in_two_ways_is_one(keyword: str, value: str) -> None:
    assert not is_mixed(series({keyword: value}))


def test_composed_and_decomposed_letters_are_equal() -> None:
    assert not is_mixed(
        series(*[{"PatientName": "Mu\u0308ller"}, {"PatientName": "MÜLLER"}] * 3)
    )


def test_other_groups_are_compared_where_the_alphabetic_one_is_absent() -> None:
    assert is_mixed(series(*[{"PatientName": "=山田^太郎"}, {"PatientName": "=山田^花子"}] * 3))
    assert not is_mixed(series(*[{"PatientName": "=山田^太郎"}] * 6))


def test_bytes_that_the_character_set_does_not_describe_are_not_compared() -> None:
    latin = "Mül^Jörg".encode("latin1")

    assert not is_mixed(named(("ISO_IR 192", latin), ("ISO_IR 192", latin)))
    assert not is_mixed(named(("ISO_IR 192", latin), ("ISO_IR 192", b"Mul^Jorg")))


def test_equal_bytes_are_one_name_whatever_their_character_set() -> None:
    chinese = "测试样本".encode("gbk")

    assert not is_mixed(named(("ISO_IR 100", chinese), ("ISO_IR 100", chinese)))
    assert not is_mixed(named(("ISO_IR 100", chinese), ("GB18030", chinese)))
    assert is_mixed(named(("ISO_IR 100", chinese), ("ISO_IR 100", "样本".encode("gbk"))))


def test_reason_counts_values_and_does_not_quote_them() -> None:
    changes = {"PatientID": "SECRET", "PatientName": "Secret^Name"}
    reason = one_patient(series(changes, changes | {"PatientName": "Third^One"}))

    found = "2 values of PatientID, 3 values of PatientName"
    text = f"The images belong to several patients ({found})."
    assert reason == Reason(ReasonCode.MIXED, text)


def test_source_is_the_smallest_uid_with_a_patient_id_in_any_order() -> None:
    headers = ct_headers(3)
    for ds, uid in zip(headers, ["1.2.9", "1.2.3", "1.2.5"], strict=True):
        ds.SOPInstanceUID = uid
    headers[1].PatientID = ""

    assert source_header(headers).SOPInstanceUID == "1.2.5"
    assert source_header(headers[::-1]).SOPInstanceUID == "1.2.5"
    for ds in headers:
        ds.PatientID = ""
    assert source_header(headers).SOPInstanceUID == "1.2.3"


def test_frames_and_multi_frame_objects_are_of_one_patient() -> None:
    def frames_of(patient_name: str, *names: str) -> list[Dataset]:
        image = Dataset()
        image.PatientID, image.PatientName = "P1", patient_name
        image.PerFrameFunctionalGroupsSequence = []
        for name in names:
            attributes, groups = Dataset(), Dataset()
            attributes.PatientName = name
            groups.UnassignedPerFrameConvertedAttributesSequence = [attributes]
            image.PerFrameFunctionalGroupsSequence.append(groups)
        return frame_headers(image)

    one, other = frames_of("A^B", "A^B", "A^B"), frames_of("C^D", "C^D")
    assert not is_mixed(one)
    assert is_mixed(one + other)
    assert is_mixed(frames_of("A^B", "A^B", "C^D"))


def test_double_names_and_issuers_are_compared_without_hyphens_and_case() -> None:
    names = ("Miller-Ross^Jane", "MILLER ROSS^JANE", "Miller Ross, Jane")
    same = [{"PatientName": names[i % 3], "IssuerOfPatientID": "Hospital"} for i in range(3)]
    headers = series(*same)[:3] + series({"PatientName": names[0]})[:1]

    assert not is_mixed(headers)
    headers[0].PatientName = "Miller^Jane"
    assert is_mixed(headers)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({}, True),
        ({"PatientName": "MILLER^JANE"}, True),
        ({"PatientName": "Miller^Jane^Ann"}, True),
        ({"IssuerOfPatientID": "", "PatientBirthDate": ""}, True),
        ({"PatientID": "P2"}, False),
        ({"IssuerOfPatientID": "OTHER"}, False),
        ({"PatientName": "Other^Jane"}, False),
        ({"PatientBirthDate": "19510601"}, False),
        ({"PatientSex": "M"}, False),
    ],
    ids=str,
)
def test_two_results_are_of_the_same_patient_if_every_attribute_agrees(
    other: dict[str, str], same: bool
) -> None:
    first, second = series()[:1], ct_headers(1, **{**PATIENT, **other})  # type: ignore[arg-type]

    assert is_same_patient(identity_of(first), identity_of(second)) is same
