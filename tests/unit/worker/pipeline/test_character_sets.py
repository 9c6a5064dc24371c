"""Covered: names in every script and long values, unchanged from the source to SR and SC.

Names are those of PS3.5 Annexes H to K. The headers are read from files, in bytes of their own
character set.
"""

from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from tests.support.factories import make_ct_headers, make_screening
from tests.support.report_cases import AT
from tests.validators.varied import HEADERS, NAMES, as_read
from worker.screening.outputs import build_outputs

MORE_NAMES: dict[str, tuple[str | list[str], str]] = {
    "Japanese, three sets": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 159"],
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    "Hebrew": ("ISO_IR 138", "שרון^דבורה"),
    "Thai": ("ISO_IR 166", "นามสกุล^ชื่อ"),
    "Latin 2": ("ISO_IR 101", "Wałęsa^Łukasz"),
    "Turkish": ("ISO_IR 148", "Çavuşoğlu^Şeyma"),
    "GBK": ("GBK", "Wang^XiaoDong=王^小东"),
    "Korean, long": (["", "ISO 2022 IR 149"], f"{'H' * 64}={'洪' * 30}={'홍' * 30}"),
}


def objects_of(**attributes: object) -> tuple[Dataset, Dataset]:
    """Return SR and SC as a receiver reads them."""
    headers = tuple(as_read(header) for header in make_ct_headers(**attributes))  # type: ignore[arg-type]
    files = build_outputs(make_screening(headers), at=AT).files
    sr, sc = (dcmread(BytesIO(files[role])) for role in ("sr", "sc"))  # type: ignore[index]
    return sr, sc


@pytest.mark.parametrize("script", [*NAMES, *MORE_NAMES])
def test_names_of_every_script_travel_unchanged(script: str) -> None:
    charset, patient_name = (NAMES | MORE_NAMES)[script]
    for ds in objects_of(
        SpecificCharacterSet=charset,
        PatientName=patient_name,
        ReferringPhysicianName=patient_name,
        StudyDescription=patient_name.split("=")[-1][:40],
    ):
        assert ds.SpecificCharacterSet == "ISO_IR 192"
        assert str(ds.PatientName) == patient_name
        assert str(ds.ReferringPhysicianName) == patient_name
        assert ds.StudyDescription == patient_name.split("=")[-1][:40]


def test_values_of_the_longest_kind_travel_unchanged() -> None:
    values = {k: v for k, v in HEADERS["long values"].items() if v is not None}
    for ds in objects_of(**values):
        assert {keyword: str(ds[keyword].value) for keyword in values} == values


def test_text_of_a_sequence_travels_unchanged_too() -> None:
    """The item has no character set of its own: it inherits that of the data set."""
    procedure = Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator = "CT1", "99LOCAL"
    procedure.CodeMeaning = "КТ живота"
    sr, _ = objects_of(SpecificCharacterSet="ISO_IR 144", ProcedureCodeSequence=[procedure])

    assert sr.PerformedProcedureCodeSequence[0].CodeMeaning == "КТ живота"
