"""Covered: names of what differs between two files of one instance; files that are no images.

Not covered: limits of the walk (test_walk_limits.py).
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from common.dicom.difference import differing_attributes
from tests.support.ct_factory import ct_instance, write_files


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, ()),
        ({"InstanceCreationDate": "20261130"}, ()),
        ({"PatientID": "OTHER", "KVP": "80"}, ("PatientID", "KVP")),
        (
            {"PatientName": "Roe^Jane", "PatientBirthDate": ""},
            ("PatientName", "PatientBirthDate"),
        ),
        ({"PixelData": bytes(512)}, ("PixelData",)),
        ({"ImagePositionPatient": [0, 0, 1]}, ("ImagePositionPatient",)),
    ],
)
def test_differences_are_named(
    elements: dict[str, Any], expected: tuple[str, ...], tmp_path: Path
) -> None:
    first = ct_instance()
    other = deepcopy(first)
    for keyword, value in elements.items():
        setattr(other, keyword, value)
    one, two = write_files([first, other], tmp_path)

    assert differing_attributes(one, two) == expected


def test_texts_are_compared_in_another_transfer_syntax(tmp_path: Path) -> None:
    first = ct_instance()
    [one] = write_files([first], tmp_path / "explicit", ExplicitVRLittleEndian)
    other = deepcopy(first)
    other.KVP = "80"
    [two] = write_files([other], tmp_path / "implicit", ImplicitVRLittleEndian)

    assert differing_attributes(one, two) == ("KVP",)


@pytest.mark.parametrize("content", [b"", b"no DICOM file", b"\0" * 128 + b"DICM\2\0"])
def test_a_file_that_is_missing_or_no_image_has_no_differences(
    content: bytes, tmp_path: Path
) -> None:
    [one] = write_files([ct_instance()], tmp_path)
    other = tmp_path / "other.dcm"
    other.write_bytes(content)

    assert differing_attributes(one, other) == ()
    assert differing_attributes(tmp_path / "missing.dcm", one) == ()
