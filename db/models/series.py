"""Tables of received series, their instances and their events."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import AE_TITLE, CORRELATION_ID, SHA256, UID, Base, by_value
from db.states import SeriesState

NOT_STARTED_REVISION = 0
"""Revision of a series that is being received for the first time."""


class Series(Base):
    """A CT series of a study, at its newest revision."""

    __tablename__ = "series"
    __table_args__ = (
        UniqueConstraint("study_instance_uid", "series_instance_uid"),
        Index("ix_series_series_instance_uid", "series_instance_uid"),
        Index(
            "ix_series_due", "next_attempt_at", "id", postgresql_where=text("state = 'queued'")
        ),
        Index("ix_series_waiting", "completed_at", postgresql_where=text("state = 'queued'")),
        Index("ix_series_state", "state"),
        Index("ix_series_changed_at", "changed_at"),
        Index("ix_series_patient", "patient_id", "issuer_of_patient_id"),
        Index("ix_series_created_at", "created_at", "id"),
        Index("ix_series_accession_number", "accession_number"),
        Index("ix_series_scanner", "manufacturer", "manufacturer_model_name"),
        Index("ix_series_study_id", "study_id", "id"),
        CheckConstraint("revision >= 0", name="revision"),
        CheckConstraint("attempts >= 0", name="attempts"),
        CheckConstraint("state = 'receiving' OR revision > 0", name="received"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    study_instance_uid: Mapped[str] = mapped_column(UID)
    series_instance_uid: Mapped[str] = mapped_column(UID)
    state: Mapped[SeriesState] = mapped_column(by_value(SeriesState, "state"))
    revision: Mapped[int] = mapped_column(default=NOT_STARTED_REVISION)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    """None for a queued series that waits for its study."""
    rank: Mapped[int | None]
    """Place in the ranking of its study, from 1; None if excluded or not ranked."""
    reason_code: Mapped[str | None] = mapped_column(String(32))
    reason_text: Mapped[str | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]

    # Content of this revision, and the evidence that it is complete.
    instance_count: Mapped[int] = mapped_column(default=0)
    total_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    content_sha256: Mapped[str | None] = mapped_column(SHA256)
    completed_by: Mapped[str | None] = mapped_column(String(16))
    expected_count: Mapped[int | None]
    """Number of instances according to the source PACS; None without an answer."""
    refused_count: Mapped[int] = mapped_column(default=0)
    """Instances that were refused or broken off at reception, and are not here."""
    change_refused: Mapped[str | None]
    """Why the newest change is no revision: instances that were screened are missing."""
    completed_at: Mapped[datetime | None]
    last_received_at: Mapped[datetime | None]
    spool_mtime_ns: Mapped[int | None] = mapped_column(BigInteger)
    calling_ae_title: Mapped[str | None] = mapped_column(AE_TITLE)
    correlation_id: Mapped[str | None] = mapped_column(CORRELATION_ID)
    """ID of the association that started this revision, in every log line about it."""

    # Patient: PHI, used to find earlier results; never logged.
    patient_id: Mapped[str | None]
    issuer_of_patient_id: Mapped[str | None]
    patient_sex: Mapped[str | None] = mapped_column(String(16))
    patient_age_years: Mapped[float | None]
    patient_size_m: Mapped[float | None]
    patient_weight_kg: Mapped[float | None]
    study_date: Mapped[date | None]
    accession_number: Mapped[str | None]

    # Acquisition.
    series_number: Mapped[int | None]
    series_description: Mapped[str | None]
    body_part_examined: Mapped[str | None]
    manufacturer: Mapped[str | None]
    manufacturer_model_name: Mapped[str | None]
    convolution_kernel: Mapped[str | None]
    kvp: Mapped[float | None]
    slice_thickness_mm: Mapped[float | None]


class Instance(Base):
    """A stored SOP instance; its file is ``<spool>/<study>/<series>/<sop>.dcm``."""

    __tablename__ = "instance"

    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    sop_class_uid: Mapped[str] = mapped_column(UID)
    transfer_syntax_uid: Mapped[str] = mapped_column(UID)
    sha256: Mapped[str] = mapped_column(SHA256)
    """Digest of the encoded data set without the File Meta Information."""
    bytes: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int]
    """The revision in which these bytes arrived."""
    received_at: Mapped[datetime]
    calling_ae_title: Mapped[str | None] = mapped_column(AE_TITLE)
    """Sender of these bytes; None if an earlier version of osteoscreen received them."""
    source_address: Mapped[str | None]


class Event(Base):
    """An action on a series, with actor and time. Append-only, enforced by a trigger."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_series_id", "series_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime]
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    revision: Mapped[int]
    actor: Mapped[str]
    what: Mapped[str]
    before: Mapped[SeriesState | None] = mapped_column(by_value(SeriesState, "before"))
    after: Mapped[SeriesState | None] = mapped_column(by_value(SeriesState, "after"))
    detail: Mapped[dict[str, Any]]
