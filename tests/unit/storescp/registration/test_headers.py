"""Covered: a series as it lies in the spool → what is registered, with odd header values."""

import hashlib
from datetime import date
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from db import spool
from db.spool import SeriesKey
from storescp.part10 import encode_header
from storescp.registration.headers import facts_of, read_complete
from tests.ct_factory import ct_instance, ct_series, encode


def put(instances: list[Dataset], spool_dir: Path) -> SeriesKey:
    key = SeriesKey(instances[0].StudyInstanceUID, instances[0].SeriesInstanceUID)
    for ds in instances:
        path = spool.instance_path(spool_dir, key, ds.SOPInstanceUID)
        path.parent.mkdir(parents=True, exist_ok=True)
        header = encode_header(
            CTImageStorage, ds.SOPInstanceUID, ExplicitVRLittleEndian, "CT_01"
        )
        path.write_bytes(header + encode(ds))
    return key


def test_a_series_is_read_with_digests_facts_and_sender(tmp_path: Path) -> None:
    instances = ct_series(3, IssuerOfPatientID="HOSPITAL")
    key = put(instances, tmp_path)

    completed = read_complete(tmp_path, key, "quiet")

    assert completed is not None
    by_uid = {one.sop_instance_uid: one for one in completed.instances}
    assert set(by_uid) == {ds.SOPInstanceUID for ds in instances}
    for ds in instances:
        one = by_uid[ds.SOPInstanceUID]
        assert one.sha256 == hashlib.sha256(encode(ds)).hexdigest()
        assert one.bytes == len(encode(ds))
        assert one.sop_class_uid == CTImageStorage
        assert one.transfer_syntax_uid == ExplicitVRLittleEndian
    assert completed.calling_ae_title == "CT_01"
    assert completed.spool_mtime_ns == spool.series_folder(tmp_path, key).stat().st_mtime_ns
    facts = completed.facts
    assert (facts.patient_id, facts.issuer_of_patient_id) == ("PID-4711-XYZ", "HOSPITAL")
    assert (facts.patient_sex, facts.patient_age_years) == ("F", 79)
    assert (facts.patient_size_m, facts.patient_weight_kg) == (1.58, 61.5)
    assert (facts.study_date, facts.accession_number) == (date(2026, 4, 2), "A-1")
    assert (facts.manufacturer, facts.manufacturer_model_name) == ("Example", "Scanner")
    assert (facts.convolution_kernel, facts.kvp) == ("B30f", 120)
    assert (facts.slice_thickness_mm, facts.series_number) == (3, 2)


def test_strangers_in_the_folder_are_left_out(tmp_path: Path) -> None:
    key = put(ct_series(2), tmp_path)
    (spool.series_folder(tmp_path, key) / "1.2.3.dcm").write_bytes(b"not DICOM")

    completed = read_complete(tmp_path, key, "scan")

    assert completed is not None
    assert len(completed.instances) == 2


def test_a_series_that_is_gone_or_empty_is_nothing(tmp_path: Path) -> None:
    key = SeriesKey("1.2", "1.3")
    assert read_complete(tmp_path, key, "scan") is None
    spool.series_folder(tmp_path, key).mkdir(parents=True)
    assert read_complete(tmp_path, key, "scan") is None


@pytest.mark.parametrize(
    ("age", "years"), [("045Y", 45), ("018M", 1.5), ("052W", 1), ("010D", 0.03)]
)
def test_age_is_read_in_every_unit(age: str, years: float) -> None:
    assert facts_of(ct_instance(PatientAge=age)).patient_age_years == pytest.approx(
        years, abs=0.005
    )


@pytest.mark.parametrize("age", [None, "", "45", "Y045"])
def test_without_an_age_the_birth_date_tells_it(age: str | None) -> None:
    ds = ct_instance()
    del ds.PatientAge
    if age is not None:
        ds[Tag("PatientAge")] = raw("PatientAge", "AS", age.encode())

    assert facts_of(ds).patient_age_years == pytest.approx(79.0, abs=0.01)


def test_without_age_and_birth_date_there_is_none() -> None:
    ds = ct_instance(PatientAge=None, PatientBirthDate=None)

    assert facts_of(ds).patient_age_years is None


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "column"),
    [
        ("KVP", "DS", b"high", "kvp"),
        ("KVP", "DS", b"-120", "kvp"),
        ("KVP", "DS", b"1e999", "kvp"),
        ("PatientSize", "DS", b"1,58", "patient_size_m"),
        ("PatientWeight", "DS", b"0", "patient_weight_kg"),
        ("SeriesNumber", "IS", b"99999999999", "series_number"),
        ("SeriesNumber", "IS", b"two", "series_number"),
        ("StudyDate", "DA", b"2026-04-", "study_date"),
        ("StudyDate", "DA", b"20261332", "study_date"),
        ("PatientID", "LO", b"  ", "patient_id"),
        ("SliceThickness", "FL", b"abc", "slice_thickness_mm"),
    ],
)
def test_an_absurd_value_is_none_and_not_an_error(
    keyword: str, vr: str, value: bytes, column: str
) -> None:
    ds = ct_instance()
    ds[Tag(keyword)] = raw(keyword, vr, value)

    assert getattr(facts_of(ds), column) is None


def test_text_fits_its_column() -> None:
    ds = ct_instance(ConvolutionKernel=["B30f", "soft"])
    ds[Tag("SeriesDescription")] = raw("SeriesDescription", "LO", b"cor\0onal" + b"x" * 500)
    ds.Manufacturer = "Fa\udcffbrik"
    ds[Tag("PatientSex")] = raw("PatientSex", "CS", b"F" * 40)

    facts = facts_of(ds)

    assert facts.convolution_kernel == "B30f\\soft"
    assert (facts.series_description or "").startswith("coronalxx")
    assert len(facts.series_description or "") == 256
    assert facts.patient_sex == "F" * 16
    assert facts.manufacturer == "Fa?brik"


def raw(keyword: str, vr: str, value: bytes) -> RawDataElement:
    return RawDataElement(Tag(keyword), vr, len(value), value, 0, False, True)
