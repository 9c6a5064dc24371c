"""Read a complete series from the spool: its instances and header values."""

import hashlib
import math
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.errors import BytesLengthException

from common.dicom.errors import NotPart10, Undecodable
from common.dicom.file_header import EncodedFile, header_of, read_file_header
from common.dicom.patient_values import (
    STUDY_DATES,
    parse_date,
    read_patient_values,
    stated_text,
)
from common.spool.layout import SeriesKey, list_instances, series_folder
from common.spool.part10 import COPY_BYTES, open_stored
from common.spool.quarantine import list_quarantined
from db.completed_series import CompletedSeries, SeriesFacts
from db.instances import NewInstance
from storescp.registration.pending_series import CompleteSeries
from storescp.registration.read_attempts import ReadAttempts

FACTS = [
    "SpecificCharacterSet",
    "PatientID",
    "IssuerOfPatientID",
    "PatientSex",
    "PatientAge",
    "PatientBirthDate",
    "PatientSize",
    "PatientWeight",
    *STUDY_DATES,
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
FACT_TAGS = frozenset(tag for one in FACTS if (tag := tag_for_keyword(one)) is not None)
MAX_INTEGER = 2**31 - 1
MAX_TEXT = 256

T = TypeVar("T")


def read_complete(
    spool_dir: Path, series: CompleteSeries, *, attempts: ReadAttempts | None = None
) -> CompletedSeries | None:
    """Read the instances of a series that are in the spool; None where there are none.

    Skips files that the Storage SCP has not written, and moves those over a limit to
    quarantine. Reads every byte, for the digests.
    """
    key, attempts = series.key, attempts or ReadAttempts(spool_dir)
    try:
        mtime_ns = series_folder(spool_dir, key).stat().st_mtime_ns
    except FileNotFoundError:
        return None
    instances = []
    paths = []
    calling_ae_title = ""
    for path in list_instances(spool_dir, key):
        attempts.begin(path)
        try:
            with open_stored(path) as file:
                header_of(file)
                instances.append(_instance(path, file))
        except (NotPart10, FileNotFoundError):
            continue
        except Undecodable as error:
            attempts.quarantine(path, str(error))
            continue
        paths.append(path)
        calling_ae_title = calling_ae_title or file.meta.calling_ae_title
    if not instances:
        return None
    quarantined = _quarantined(spool_dir, key)
    return CompletedSeries(
        study_instance_uid=key.study_instance_uid,
        series_instance_uid=key.series_instance_uid,
        instances=tuple(instances),
        facts=_series_facts(paths),
        completed_by=series.completed_by,
        calling_ae_title=calling_ae_title or None,
        spool_mtime_ns=mtime_ns,
        expected_count=series.expected,
        correlation_id=series.correlation_id,
        refused_count=series.refused + len(quarantined),
        quarantined=quarantined,
    )


def _quarantined(spool_dir: Path, key: SeriesKey) -> frozenset[str]:
    """Return the instances that are in quarantine and not in the spool as well."""
    folder = series_folder(spool_dir, key)
    paths = list_quarantined(spool_dir, key)
    return frozenset(path.stem for path in paths if not (folder / path.name).exists())


def facts_of(ds: Dataset) -> SeriesFacts:
    """Return header values for typed columns; None for an unreadable or impossible one."""
    with warnings.catch_warnings():
        # The text of a pydicom warning repeats the value, which may identify the patient.
        warnings.simplefilter("ignore")
        return _facts_of(ds)


def _facts_of(ds: Dataset) -> SeriesFacts:
    patient = read_patient_values(ds)
    return SeriesFacts(
        patient_id=_text(ds, "PatientID"),
        issuer_of_patient_id=_text(ds, "IssuerOfPatientID"),
        patient_sex=(_text(ds, "PatientSex") or "")[:16] or None,
        patient_age_years=None if patient.age_years is None else round(patient.age_years, 2),
        patient_size_m=patient.height_m,
        patient_weight_kg=patient.weight_kg,
        study_date=parse_date(stated_text(ds, "StudyDate")),
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


def _instance(path: Path, file: EncodedFile) -> NewInstance:
    digest, size, meta = hashlib.sha256(), 0, file.meta
    while part := file.read_at(size, COPY_BYTES):
        digest.update(part)
        size += len(part)
    mtime = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return NewInstance(
        sop_instance_uid=path.stem,
        sop_class_uid=meta.sop_class_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        sha256=digest.hexdigest(),
        bytes=size,
        received_at=mtime,
        calling_ae_title=meta.calling_ae_title or None,
        source_address=meta.source_address or None,
    )


def _series_facts(paths: Sequence[Path]) -> SeriesFacts:
    """Return the facts of the instance that the report takes (``header_values.source_header``).

    One file is read where the first has a PatientID.
    """
    read = (_facts(path) for path in sorted(paths, key=lambda path: path.stem))
    first: SeriesFacts | None = None
    for facts in read:
        first = first or facts
        if facts is not None and facts.patient_id:
            return facts
    return first or SeriesFacts()


def _facts(path: Path) -> SeriesFacts | None:
    try:
        return facts_of(read_file_header(path, FACT_TAGS))
    except (Undecodable, NotPart10, OSError):
        return None


def _read(get: Callable[[], T]) -> T | None:
    """Return a value, or None where it is absent or pydicom cannot decode it."""
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
    # PostgreSQL's text type accepts neither NUL nor an unpaired surrogate.
    value = value.replace("\0", "").encode("utf-8", "replace").decode()
    return value.strip()[:MAX_TEXT] or None


def _number(ds: Dataset, keyword: str) -> float | None:
    value = _read(lambda: float(ds[keyword].value) if keyword in ds else None)
    return value if value is not None and math.isfinite(value) and value > 0 else None


def _integer(ds: Dataset, keyword: str) -> int | None:
    value = _read(lambda: int(ds[keyword].value) if keyword in ds else None)
    return value if value is not None and abs(value) <= MAX_INTEGER else None
