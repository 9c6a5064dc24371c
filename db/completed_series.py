"""A series as it is registered, arriving and complete, and what became of it."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from db.instances import NewInstance

CompletedBy = Literal["quiet", "released", "scan", "count"]
"""Evidence of completion.

``quiet``: no instance during the quiet period. ``released``: no instance during the shorter
period after the last sender released its association. ``scan``: found on disk, its arrival was
not observed. ``count``: as many instances as the source PACS counts.
"""


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """Patient and acquisition attributes from the headers; None if absent."""

    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    patient_sex: str | None = None
    patient_age_years: float | None = None
    patient_size_m: float | None = None
    patient_weight_kg: float | None = None
    study_date: date | None = None
    accession_number: str | None = None
    series_number: int | None = None
    series_description: str | None = None
    body_part_examined: str | None = None
    manufacturer: str | None = None
    manufacturer_model_name: str | None = None
    convolution_kernel: str | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None


@dataclass(frozen=True, slots=True)
class ArrivingSeries:
    """A series whose first instances have arrived."""

    study_instance_uid: str
    series_instance_uid: str
    calling_ae_title: str | None
    correlation_id: str | None = None
    """ID of the association that started it; None if its arrival was not observed."""


@dataclass(frozen=True, slots=True)
class CompletedSeries:
    """A complete series in the spool."""

    study_instance_uid: str
    series_instance_uid: str
    instances: tuple[NewInstance, ...]
    facts: SeriesFacts
    completed_by: CompletedBy
    calling_ae_title: str | None
    spool_mtime_ns: int
    """Modification time of the folder before it was read; the scan compares it."""
    expected_count: int | None = None
    """Number of instances according to the source PACS, if it answered."""
    correlation_id: str | None = None
    """ID of the association that started it; None if its arrival was not observed."""
    refused_count: int = 0
    """Number of instances that were refused or broken off at reception, and are not here."""
    quarantined: frozenset[str] = frozenset()
    """SOP Instance UIDs of files in quarantine; ``refused_count`` includes them."""


@dataclass(frozen=True, slots=True)
class Registered:
    """``changed``: this call queued a new revision.

    ``due``: it is due by itself, publish a task for it; otherwise it waits for its study.
    ``refused_because``: the change is no revision for this reason.
    """

    series_id: int
    revision: int
    changed: bool
    correlation_id: str | None
    due: bool = False
    refused_because: str | None = None
