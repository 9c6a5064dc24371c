"""Covered: a series in the spool → its registered values, with unusual headers."""

import hashlib
import tracemalloc
from datetime import date
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from common.spool import layout
from common.spool.layout import SeriesKey
from common.spool.part10 import encode_header
from common.spool.quarantine import quarantine_file
from storescp.registration.headers import facts_of, read_complete
from storescp.registration.pending_series import CompleteSeries
from tests.support.ct_factory import ct_instance, ct_series, encode
from tests.support.encoded import deflate
from worker.pipeline.header_values import source_header


def put(instances: list[Dataset], spool_dir: Path) -> SeriesKey:
    key = SeriesKey(instances[0].StudyInstanceUID, instances[0].SeriesInstanceUID)
    for ds in instances:
        path = layout.instance_path(spool_dir, key, ds.SOPInstanceUID)
        path.parent.mkdir(parents=True, exist_ok=True)
        header = encode_header(
            CTImageStorage, ds.SOPInstanceUID, ExplicitVRLittleEndian, "CT_01"
        )
        path.write_bytes(header + encode(ds))
    return key


def test_a_series_is_read_with_digests_facts_and_sender(tmp_path: Path) -> None:
    instances = ct_series(3, IssuerOfPatientID="HOSPITAL")
    key = put(instances, tmp_path)

    completed = read_complete(tmp_path, CompleteSeries(key, "quiet", 1))

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
    assert completed.spool_mtime_ns == layout.series_folder(tmp_path, key).stat().st_mtime_ns
    facts = completed.facts
    assert (facts.patient_id, facts.issuer_of_patient_id) == ("PID-4711-XYZ", "HOSPITAL")
    assert (facts.patient_sex, facts.patient_age_years) == ("F", 79)
    assert (facts.patient_size_m, facts.patient_weight_kg) == (1.58, 61.5)
    assert (facts.study_date, facts.accession_number) == (date(2026, 4, 2), "A-1")
    assert (facts.manufacturer, facts.manufacturer_model_name) == ("Example", "Scanner")
    assert (facts.convolution_kernel, facts.kvp) == ("B30f", 120)
    assert (facts.slice_thickness_mm, facts.series_number) == (3, 2)


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
def test_facts_are_read_in_every_encoding(syntax: str, tmp_path: Path) -> None:
    ds = ct_instance(PatientID="Ä 7", SpecificCharacterSet="ISO_IR 100", size=256)
    ds.ConvolutionKernel = ["B30f", "soft"]
    plain = syntax != DeflatedExplicitVRLittleEndian
    encoded = encode(ds, syntax) if plain else deflate(encode(ds))
    key = SeriesKey(ds.StudyInstanceUID, ds.SeriesInstanceUID)
    path = layout.instance_path(tmp_path, key, ds.SOPInstanceUID)
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_header(CTImageStorage, ds.SOPInstanceUID, syntax, "A") + encoded)

    completed = read_complete(tmp_path, CompleteSeries(key, "quiet", 1))

    assert completed is not None
    facts = completed.facts
    assert (facts.patient_id, facts.kvp, facts.series_number) == ("Ä 7", 120, 2)
    assert (facts.convolution_kernel, facts.study_date) == ("B30f\\soft", date(2026, 4, 2))


def test_facts_are_read_without_the_memory_of_what_precedes_the_pixels(tmp_path: Path) -> None:
    ds = ct_instance(PatientComments="x" * 10_000)
    ds.add_new(0x00191010, "OB", bytes(7_000_000))
    key = put([ds], tmp_path)

    tracemalloc.start()
    completed = read_complete(tmp_path, CompleteSeries(key, "quiet", 1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert completed is not None
    assert completed.facts.kvp == 120
    assert peak < 3_000_000


def test_files_in_quarantine_are_missing_unless_they_were_sent_again(tmp_path: Path) -> None:
    instances = ct_series(4)
    key = put(instances, tmp_path)
    paths = layout.list_instances(tmp_path, key)
    for path in paths[:2]:
        quarantine_file(tmp_path, path)
    paths[0].write_bytes(
        (tmp_path / "quarantine" / paths[0].relative_to(tmp_path)).read_bytes()
    )

    completed = read_complete(tmp_path, CompleteSeries(key, "quiet", 4, refused=3))

    assert completed is not None
    assert (len(completed.instances), completed.refused_count) == (3, 4)


def test_foreign_files_in_the_folder_are_skipped(tmp_path: Path) -> None:
    key = put(ct_series(2), tmp_path)
    (layout.series_folder(tmp_path, key) / "1.2.3.dcm").write_bytes(b"not DICOM")

    completed = read_complete(tmp_path, CompleteSeries(key, "scan", 1))

    assert completed is not None
    assert len(completed.instances) == 2


def test_a_series_that_is_gone_or_empty_is_nothing(tmp_path: Path) -> None:
    key = SeriesKey("1.2", "1.3")
    assert read_complete(tmp_path, CompleteSeries(key, "scan", 1)) is None
    layout.series_folder(tmp_path, key).mkdir(parents=True)
    assert read_complete(tmp_path, CompleteSeries(key, "scan", 1)) is None


@pytest.mark.parametrize(
    ("age", "years"),
    [("045Y", 45), ("018M", 1.5), ("052W", 1), ("010D", 0.03), ("45", 45), ("012 ", 12)],
)
def test_age_is_read_in_every_unit(age: str, years: float) -> None:
    ds = ct_instance()
    ds[Tag("PatientAge")] = raw("PatientAge", "AS", age.encode())

    assert facts_of(ds).patient_age_years == pytest.approx(years, abs=0.005)


@pytest.mark.parametrize("age", [None, "", "Y045"])
def test_without_an_age_the_birth_date_is_used(age: str | None) -> None:
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
        ("PatientSize", "DS", b"158", "patient_size_m"),
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


@pytest.mark.parametrize("written", [b"2026.04.02", b"2026-04-02"])
def test_dates_of_older_standards_are_read(written: bytes) -> None:
    ds = ct_instance()
    ds[Tag("StudyDate")] = raw("StudyDate", "DA", written)

    assert facts_of(ds).study_date == date(2026, 4, 2)


def put_named(tmp_path: Path, patient_ids: dict[str, str]) -> SeriesKey:
    """Put instances with these UIDs and patient IDs; the weight tells them apart."""
    instances = ct_series(len(patient_ids))
    for weight, (ds, (uid, patient_id)) in enumerate(
        zip(instances, patient_ids.items(), strict=True), start=50
    ):
        ds.SOPInstanceUID, ds.PatientID, ds.PatientWeight = uid, patient_id, weight
    return put(instances, tmp_path)


@pytest.mark.parametrize(
    ("patient_ids", "weight_kg"),
    [
        ({"1.2.3.4": "P", "1.2.3": "P"}, 51),
        ({"1.2.3": "", "1.2.3.4": "P", "1.2.3.5": "P"}, 51),
        ({"1.2.4": "", "1.2.3": ""}, 51),
    ],
)
def test_record_and_report_take_the_patient_from_one_instance(
    tmp_path: Path, patient_ids: dict[str, str], weight_kg: float
) -> None:
    key = put_named(tmp_path, patient_ids)

    completed = read_complete(tmp_path, CompleteSeries(key, "quiet", 1))
    headers = [dcmread(path) for path in layout.list_instances(tmp_path, key)]

    assert completed is not None
    assert completed.facts.patient_weight_kg == weight_kg
    assert source_header(headers[::-1]).PatientWeight == weight_kg


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


def test_a_file_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = put(ct_series(3), tmp_path)
    opened: list[str] = []

    def counted(path: Path, *args: object, **options: object) -> object:
        opened.append(path.name)
        return original(path, *args, **options)  # type: ignore[call-overload]

    original = Path.open
    monkeypatch.setattr(Path, "open", counted)

    assert read_complete(tmp_path, CompleteSeries(key, "quiet", 1)) is not None

    # The first one again, for the facts of the series.
    assert sorted(set(opened)) == sorted(
        path.name for path in layout.list_instances(tmp_path, key)
    )
    assert len(opened) == 4


def test_the_digest_is_that_of_the_whole_data_set(tmp_path: Path) -> None:
    ds = ct_instance()
    key = put([ds], tmp_path)
    path = layout.instance_path(tmp_path, key, ds.SOPInstanceUID)
    private_information = b"\x02\x00\x02\x01OB\x00\x00\x02\x00\x00\x00\x01\x02"
    header = encode_header(CTImageStorage, ds.SOPInstanceUID, ExplicitVRLittleEndian, "CT_01")
    data_set = private_information + encode(ds)
    path.write_bytes(header + data_set)

    completed = read_complete(tmp_path, CompleteSeries(key, "quiet", 1))

    assert completed is not None
    (one,) = completed.instances
    assert one.sha256 == hashlib.sha256(data_set).hexdigest()
    assert one.bytes == len(data_set)
