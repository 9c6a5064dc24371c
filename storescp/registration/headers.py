"""Read a complete series from the spool: its instances, and the facts of its headers."""

import hashlib
import math
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError

from db.intake import CompletedBy, CompletedSeries, NewInstance, SeriesFacts
from db.spool import SeriesKey, list_instances, series_folder
from storescp.part10 import COPY_BYTES, FileMeta, NotPart10, read_header

FACTS = [
    "SpecificCharacterSet",
    "PatientID",
    "IssuerOfPatientID",
    "PatientSex",
    "PatientAge",
    "PatientBirthDate",
    "PatientSize",
    "PatientWeight",
    "StudyDate",
    "AccessionNumber",
    "SeriesNumber",
    "SeriesDescription",
    "BodyPartExamined",
    "Manufacturer",
    "ManufacturerModelName",
    "ConvolutionKernel",
    "KVP",
    "SliceThickness",
]
MAX_INTEGER = 2**31 - 1
MAX_TEXT = 256
DAYS_PER = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}  # PS3.5 6.2, VR AS
DAYS_PER_YEAR = 365.25

T = TypeVar("T")


def read_complete(
    spool_dir: Path,
    key: SeriesKey,
    completed_by: CompletedBy,
    *,
    expected_count: int | None = None,
    correlation_id: str | None = None,
) -> CompletedSeries | None:
    """What lies in the spool of a series now; None when nothing does (any more).

    Files that the SCP has not written are left out. Reads every byte, for the digests.
    """
    try:
        mtime_ns = series_folder(spool_dir, key).stat().st_mtime_ns
    except FileNotFoundError:
        return None
    instances = []
    facts: SeriesFacts | None = None
    calling_ae_title = ""
    for path in list_instances(spool_dir, key):
        try:
            meta = read_header(path)
            instances.append(_instance(path, meta))
        except (NotPart10, FileNotFoundError):
            continue
        facts = facts or _facts(path)
        calling_ae_title = calling_ae_title or meta.calling_ae_title
    if not instances:
        return None
    return CompletedSeries(
        study_instance_uid=key.study_instance_uid,
        series_instance_uid=key.series_instance_uid,
        instances=tuple(instances),
        facts=facts or SeriesFacts(),
        completed_by=completed_by,
        calling_ae_title=calling_ae_title or None,
        spool_mtime_ns=mtime_ns,
        expected_count=expected_count,
        correlation_id=correlation_id,
    )


def facts_of(ds: Dataset) -> SeriesFacts:
    """Facts for typed columns; a value that cannot be read or is absurd becomes None."""
    with warnings.catch_warnings():
        # pydicom warns with the value in the text: that may be the patient's.
        warnings.simplefilter("ignore")
        return _facts_of(ds)


def _facts_of(ds: Dataset) -> SeriesFacts:
    study_date = _read(lambda: _date(ds.StudyDate))
    return SeriesFacts(
        patient_id=_text(ds, "PatientID"),
        issuer_of_patient_id=_text(ds, "IssuerOfPatientID"),
        patient_sex=(_text(ds, "PatientSex") or "")[:16] or None,
        patient_age_years=_age_years(ds, study_date),
        patient_size_m=_number(ds, "PatientSize"),
        patient_weight_kg=_number(ds, "PatientWeight"),
        study_date=study_date,
        accession_number=_text(ds, "AccessionNumber"),
        series_number=_integer(ds, "SeriesNumber"),
        series_description=_text(ds, "SeriesDescription"),
        body_part_examined=_text(ds, "BodyPartExamined"),
        manufacturer=_text(ds, "Manufacturer"),
        manufacturer_model_name=_text(ds, "ManufacturerModelName"),
        convolution_kernel=_text(ds, "ConvolutionKernel"),
        kvp=_number(ds, "KVP"),
        slice_thickness_mm=_number(ds, "SliceThickness"),
    )


def _instance(path: Path, meta: FileMeta) -> NewInstance:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(meta.data_set_offset)
        while part := file.read(COPY_BYTES):
            digest.update(part)
        size = file.tell() - meta.data_set_offset
        mtime = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return NewInstance(
        sop_instance_uid=path.stem,
        sop_class_uid=meta.sop_class_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        sha256=digest.hexdigest(),
        bytes=size,
        received_at=mtime,
    )


def _facts(path: Path) -> SeriesFacts | None:
    try:
        ds = dcmread(path, stop_before_pixels=True, specific_tags=FACTS)
    except (InvalidDicomError, OSError, EOFError, NotImplementedError, ValueError):
        return None
    return facts_of(ds)


def _read(get: Callable[[], T]) -> T | None:
    """A value, or None where pydicom cannot decode it or it is not there."""
    try:
        return get()
    except (AttributeError, BytesLengthException, TypeError, ValueError, OverflowError):
        return None


def _text(ds: Dataset, keyword: str) -> str | None:
    value = _read(lambda: ds[keyword].value if keyword in ds else None)
    if value is None:
        return None
    if not isinstance(value, str):
        value = "\\".join(str(part) for part in value)
    # PostgreSQL's text holds neither NUL nor half of a surrogate pair.
    value = value.replace("\0", "").encode("utf-8", "replace").decode()
    return value.strip()[:MAX_TEXT] or None


def _number(ds: Dataset, keyword: str) -> float | None:
    value = _read(lambda: float(ds[keyword].value) if keyword in ds else None)
    return value if value is not None and math.isfinite(value) and value > 0 else None


def _integer(ds: Dataset, keyword: str) -> int | None:
    value = _read(lambda: int(ds[keyword].value) if keyword in ds else None)
    return value if value is not None and abs(value) <= MAX_INTEGER else None


def _date(value: str) -> date:
    return datetime.strptime(str(value), "%Y%m%d").date()  # PS3.5 6.2, VR DA


def _age_years(ds: Dataset, study_date: date | None) -> float | None:
    """Patient's Age as sent, else from birth date and study date."""
    age = _text(ds, "PatientAge") or ""
    if len(age) == 4 and age[:3].isdigit() and age[3] in DAYS_PER:
        return round(int(age[:3]) * DAYS_PER[age[3]] / DAYS_PER_YEAR, 2)
    birth_date = _read(lambda: _date(ds.PatientBirthDate))
    if birth_date is None or study_date is None or birth_date > study_date:
        return None
    return round((study_date - birth_date).days / DAYS_PER_YEAR, 2)
