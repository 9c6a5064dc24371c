"""Tables. Enums are text with a CHECK, stored by value; timestamps are aware."""

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

from db.base import AE_TITLE, CORRELATION_ID, GRADE_VALUES, SHA256, UID, Base, by_value
from db.states import DeliveryState, RunOutcome, SeriesState

NOT_STARTED_REVISION = 0
"""Revision of a series that is still being received for the first time."""


class Series(Base):
    """One CT series in one study, at its newest revision."""

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
        CheckConstraint("revision >= 0", name="revision"),
        CheckConstraint("attempts >= 0", name="attempts"),
        CheckConstraint("state = 'receiving' OR revision > 0", name="received"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(UID)
    series_instance_uid: Mapped[str] = mapped_column(UID)
    state: Mapped[SeriesState] = mapped_column(by_value(SeriesState, "state"))
    revision: Mapped[int] = mapped_column(default=NOT_STARTED_REVISION)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    reason_code: Mapped[str | None] = mapped_column(String(32))
    reason_text: Mapped[str | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]

    # What makes this revision, and why it was judged complete.
    instance_count: Mapped[int] = mapped_column(default=0)
    total_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    content_sha256: Mapped[str | None] = mapped_column(SHA256)
    completed_by: Mapped[str | None] = mapped_column(String(16))
    expected_count: Mapped[int | None]
    """Instances that a PACS counted in the series; None where none was asked or answered."""
    completed_at: Mapped[datetime | None]
    last_received_at: Mapped[datetime | None]
    spool_mtime_ns: Mapped[int | None] = mapped_column(BigInteger)
    calling_ae_title: Mapped[str | None] = mapped_column(AE_TITLE)
    correlation_id: Mapped[str | None] = mapped_column(CORRELATION_ID)
    """Of the association that began this revision, in every log line about it."""

    # Who: PHI, for matching earlier results only; never logged.
    patient_id: Mapped[str | None]
    issuer_of_patient_id: Mapped[str | None]
    patient_sex: Mapped[str | None] = mapped_column(String(16))
    patient_age_years: Mapped[float | None]
    patient_size_m: Mapped[float | None]
    patient_weight_kg: Mapped[float | None]
    study_date: Mapped[date | None]
    accession_number: Mapped[str | None]

    # How it was made.
    series_number: Mapped[int | None]
    series_description: Mapped[str | None]
    body_part_examined: Mapped[str | None]
    manufacturer: Mapped[str | None]
    manufacturer_model_name: Mapped[str | None]
    convolution_kernel: Mapped[str | None]
    kvp: Mapped[float | None]
    slice_thickness_mm: Mapped[float | None]


class Instance(Base):
    """One stored SOP instance; its file is ``<spool>/<study>/<series>/<sop>.dcm``."""

    __tablename__ = "instance"

    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    sop_class_uid: Mapped[str] = mapped_column(UID)
    transfer_syntax_uid: Mapped[str] = mapped_column(UID)
    sha256: Mapped[str] = mapped_column(SHA256)
    """Of the encoded data set, without the File Meta Information."""
    bytes: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int]
    """The revision that brought these bytes."""
    received_at: Mapped[datetime]


class Screening(Base):
    """One run over one revision of a series; active until ``finished_at``."""

    __tablename__ = "screening"
    __table_args__ = (
        Index(
            "uq_screening_active",
            "series_id",
            "revision",
            unique=True,
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index(
            "ix_screening_lease_until",
            "lease_until",
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index("ix_screening_series_id", "series_id"),
        CheckConstraint("(outcome IS NULL) = (finished_at IS NULL)", name="finished"),
        CheckConstraint(f"grade IN {GRADE_VALUES}", name="grade"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    revision: Mapped[int]
    attempt: Mapped[int]
    correlation_id: Mapped[str | None] = mapped_column(CORRELATION_ID)
    """The series' at this revision: a later revision has another one."""
    leased_by: Mapped[str]
    lease_until: Mapped[datetime]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[RunOutcome | None] = mapped_column(by_value(RunOutcome, "outcome"))
    reason_code: Mapped[str | None] = mapped_column(String(32))
    reason_text: Mapped[str | None]
    error: Mapped[str | None]

    orientation: Mapped[str | None] = mapped_column(String(16))
    grade: Mapped[str | None] = mapped_column(String(16))
    model_name: Mapped[str | None]
    model_version: Mapped[str | None]
    model_modality: Mapped[str | None]
    model_training_data: Mapped[str | None]
    model_sha256: Mapped[str | None] = mapped_column(SHA256)
    warnings: Mapped[list[str] | None]
    timings_ms: Mapped[dict[str, float] | None]
    result: Mapped[dict[str, Any] | None]
    """The entry of ``result.json``, as written."""


class Hip(Base):
    """The result of one hip of one screening; positions are patient LPS, mm."""

    __tablename__ = "hip"
    __table_args__ = (
        CheckConstraint("side IN ('R', 'L')", name="side"),
        CheckConstraint("state IN ('graded', 'not_assessable')", name="state"),
        CheckConstraint(f"grade IN {GRADE_VALUES}", name="grade"),
        CheckConstraint("(state = 'graded') = (grade IS NOT NULL)", name="graded"),
    )

    screening_id: Mapped[int] = mapped_column(ForeignKey("screening.id"), primary_key=True)
    side: Mapped[str] = mapped_column(String(1), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    reason_code: Mapped[str | None] = mapped_column(String(32))
    reason_text: Mapped[str | None]
    grade: Mapped[str | None] = mapped_column(String(16))
    probability_normal: Mapped[float | None]
    probability_osteopenia: Mapped[float | None]
    probability_osteoporosis: Mapped[float | None]
    neck_hu: Mapped[float | None]
    neck_sd_hu: Mapped[float | None]
    center_x_mm: Mapped[float | None]
    center_y_mm: Mapped[float | None]
    center_z_mm: Mapped[float | None]


class ResultObject(Base):
    """One SR or SC that a screening wrote, delivered or not."""

    __tablename__ = "result_object"
    __table_args__ = (UniqueConstraint("screening_id", "role"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    screening_id: Mapped[int] = mapped_column(ForeignKey("screening.id"))
    role: Mapped[str] = mapped_column(String(16))
    sop_class_uid: Mapped[str] = mapped_column(UID)
    sop_instance_uid: Mapped[str] = mapped_column(UID)
    series_instance_uid: Mapped[str] = mapped_column(UID)
    path: Mapped[str]
    """Relative to the spool."""


class Delivery(Base):
    """The outbox: one object on its way to one destination."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("object_id", "destination"),
        Index("ix_delivery_due", "next_attempt_at", postgresql_where=text("state = 'due'")),
        Index(
            "ix_delivery_owed",
            "destination",
            "state",
            postgresql_where=text("state IN ('due', 'refused')"),
        ),
        Index("ix_delivery_sent_at", "destination", "sent_at"),
        Index("ix_delivery_screening_id", "screening_id"),
        Index("ix_delivery_transaction_uid", "transaction_uid"),
        CheckConstraint("attempts >= 0", name="attempts"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    screening_id: Mapped[int] = mapped_column(ForeignKey("screening.id"))
    object_id: Mapped[int] = mapped_column(ForeignKey("result_object.id"))
    destination: Mapped[str]
    state: Mapped[DeliveryState] = mapped_column(by_value(DeliveryState, "state"))
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    leased_by: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    confirmed_by: Mapped[str | None] = mapped_column(String(16))
    """``query`` (the destination lists it) or ``commitment`` (it promised to keep it)."""
    transaction_uid: Mapped[str | None] = mapped_column(UID)
    """Of the newest request for Storage Commitment that may have been made for it."""
    last_status: Mapped[str | None]
    """DIMSE status (``0xA700``) or HTTP status of the last attempt."""
    error: Mapped[str | None]


class Pause(Base):
    """An operator's order to send nothing to a destination; open until ``resumed_at``."""

    __tablename__ = "pause"
    __table_args__ = (
        Index(
            "uq_pause_open",
            "destination",
            unique=True,
            postgresql_where=text("resumed_at IS NULL"),
        ),
        CheckConstraint("(resumed_by IS NULL) = (resumed_at IS NULL)", name="resumed"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    destination: Mapped[str]
    paused_at: Mapped[datetime]
    paused_by: Mapped[str]
    resumed_at: Mapped[datetime | None]
    resumed_by: Mapped[str | None]


class Event(Base):
    """Who did what to a series and when. Append-only: a trigger forbids anything else."""

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
