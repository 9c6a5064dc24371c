"""Covered: kernel, phase, name and reason of a series as its headers state them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from tests.support.ct_volume import CORONAL, SAGITTAL, alter, write_ct
from worker.pipeline import series_headers
from worker.pipeline.decoding.header import read_header
from worker.pipeline.ranking.kernel import kernel_kind
from worker.pipeline.ranking.phase import phase_of
from worker.pipeline.ranking.series_facts import SeriesFacts, StudySeries, read_facts
from worker.pipeline.validation.patient import PatientRules


def header(**elements: Any) -> Dataset:
    ds = Dataset()
    for keyword, value in elements.items():
        alter(ds, keyword, value)
    return ds


def facts_of(
    folder: Path, *, slices: int = 12, refused: int = 0, **elements: Any
) -> SeriesFacts:
    hu = np.zeros((slices, 8, 6), np.int16)
    paths = write_ct(folder, hu, **elements)
    return read_facts(StudySeries("1.2.3", tuple(paths), refused))


@pytest.mark.parametrize(
    ("kernel", "description", "kind"),
    [
        ("B30f", "", "soft"), ("Br40d", "bone", "soft"), ("B70f", "soft", "sharp"),
        ("STANDARD", "", "soft"), ("BONEPLUS", "", "sharp"), ("FC08", "", "soft"),
        (["Br59d", "3"], "", "sharp"), ("XY", "Abdomen Weichteil 3.0", "soft"),
        ("", "Becken Knochen cor", "sharp"), ("", "ABD COR BONE", "sharp"),
        ("", "ABD cor 3.0", "unknown"), ("", "bone and soft tissue", "unknown"),
        ("", "Soft tissue without bone", "soft"), ("", "Lungs", "sharp"),
        ("", "MR ossipow", "unknown"),
    ],
)  # fmt: skip
def test_the_kernel_counts_before_the_description(
    kernel: Any, description: str, kind: str
) -> None:
    found = kernel_kind(header(ConvolutionKernel=kernel, SeriesDescription=description))

    assert found == kind


@pytest.mark.parametrize(
    ("description", "phase"),
    [
        ("ABD portal cor 3.0", "portal"), ("Abdomen venös", "portal"), ("ABD PV", "portal"),
        ("abd_80s_3mm", "portal"), ("Abdo veineux", "portal"), ("ABD art 1.0", "other"),
        ("Abdomen nativ", "other"), ("non-contrast", "other"), ("Delayed 5min", "other"),
        ("w/o contrast", "other"), ("ABD 3.0", "unknown"), ("art + ven", "unknown"),
        ("ABD 180s", "unknown"), ("B80s", "unknown"), ("Partial", "unknown"),
        ("spät", "other"), ("Ventral", "unknown"), ("ohne KM", "other"),
    ],
)  # fmt: skip
def test_the_phase_by_the_description(description: str, phase: str) -> None:
    assert phase_of(header(SeriesDescription=description)) == phase


@pytest.mark.parametrize(
    ("start", "acquired", "phase"),
    [
        ("101500", "101620", "portal"), ("101500.12", "101612", "portal"),
        ("101500", "101525", "other"), ("101500", "102500", "other"),
        ("235930", "000050", "portal"), ("101500", "091500", "unknown"),
        ("", "101620", "unknown"), ("109999", "101620", "unknown"), ("10", "1016", "unknown"),
    ],
)  # fmt: skip
def test_the_phase_by_the_time_since_the_injection(
    start: str, acquired: str, phase: str
) -> None:
    ds = header(
        SeriesDescription="ABD cor", ContrastBolusStartTime=start, AcquisitionTime=acquired
    )

    assert phase_of(ds) == phase


def test_a_series_is_described_without_its_own_texts(tmp_path: Path) -> None:
    found = facts_of(
        tmp_path,
        directions=CORONAL,
        SeriesNumber=4,
        SliceThickness=2.98,
        ConvolutionKernel="B30f",
        SeriesDescription="DOE WALBURGA",
    )

    assert found.name == "series 4, coronal 3 mm, soft kernel"
    assert "DOE" not in repr(found)
    assert found.reason is None
    assert found.covered_l == 0.0  # 12 × 3 mm × 6.4 mm × 4.8 mm


@pytest.mark.parametrize("number", ["", "-4", 123456])
def test_a_series_number_that_is_none_is_not_told(tmp_path: Path, number: Any) -> None:
    assert facts_of(tmp_path, SeriesNumber=number).name.startswith("series without number")


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"directions": SAGITTAL}, "ORIENTATION"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "NOT_CT"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "LOCALIZER"),
        ({"slices": 4}, "TOO_FEW_SLICES"),
        ({"PatientAge": "012Y"}, "TOO_YOUNG"),
        ({"refused": 1}, "GAPS"),
    ],
)
def test_rules_that_need_headers_only_reject_without_pixels(
    tmp_path: Path, elements: dict[str, Any], code: str
) -> None:
    reason = facts_of(tmp_path, **elements).reason

    assert reason is not None
    assert reason.code == code


def test_the_rules_of_the_site_for_patients_apply_to_a_localizer_too(tmp_path: Path) -> None:
    hu = np.zeros((12, 8, 6), np.int16)
    scout = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    paths = write_ct(tmp_path, hu, PatientID="P1", ImageType=scout)
    listed = PatientRules(opted_out=frozenset({"P1"}))

    facts = read_facts(StudySeries("1.2.3", tuple(paths)), listed)

    assert facts.against_patient is not None
    assert facts.against_patient.code == "OPTED_OUT"


def test_pixels_are_not_needed(tmp_path: Path) -> None:
    paths = write_ct(tmp_path, np.zeros((12, 64, 64), np.int16))
    for path in paths:
        encoded = path.read_bytes()
        path.write_bytes(encoded[:-8192] + b"\xff" * 8192)

    assert read_facts(StudySeries("1.2.3", tuple(paths))).reason is None


def test_three_headers_are_read_of_a_series_of_single_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        series_headers, "read_header", lambda path: read.append(path.name) or read_header(path)
    )

    found = facts_of(tmp_path, slices=40, spacing=(9.0, 9.0), SliceThickness=3)

    assert sorted(read) == ["000.dcm", "020.dcm", "039.dcm"]
    assert found.images == 40
    assert found.covered_l == 0.5  # 40 × 3 mm × 72 mm × 54 mm
    assert found.reason is None


def test_files_that_are_no_images_are_undecodable(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"no DICOM")

    found = read_facts(StudySeries("1.2.3", (tmp_path / "a",)))

    assert found.series_instance_uid == "1.2.3"
    assert found.reason is not None
    assert found.reason.code == "UNDECODABLE"
