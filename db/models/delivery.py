"""Tables of the outbox: result objects, deliveries and pauses of destinations."""

from datetime import datetime
from typing import Literal

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

from db.models.base import UID, Base, by_value
from db.states import DeliveryState

ObjectRole = Literal["sr", "sc", "overlay", "pm", "key", "ko"]
"""Structured Report, result picture and overlay picture (Secondary Captures), Parametric Map,
Key Object Selection; the note that rejects them."""
NOTE: ObjectRole = "ko"


class ResultObject(Base):
    """A DICOM object that a screening wrote, delivered or not."""

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
    """The outbox: delivery of an object to a destination."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("object_id", "destination"),
        Index("ix_delivery_due", "next_attempt_at", postgresql_where=text("state = 'due'")),
        Index(
            "ix_delivery_owed",
            "destination",
            "state",
            postgresql_where=text("state IN ('due', 'refused', 'waiting')"),
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
    """``query`` (C-FIND lists the object) or ``commitment`` (Storage Commitment)."""
    transaction_uid: Mapped[str | None] = mapped_column(UID)
    """Of the newest request for Storage Commitment that may include the object."""
    may_hold: Mapped[bool] = mapped_column(default=False)
    """The destination has accepted the object, or may have without an answer."""
    last_status: Mapped[str | None]
    """DIMSE status (``0xA700``) or HTTP status of the last attempt."""
    error: Mapped[str | None]


class Pause(Base):
    """A pause of deliveries to a destination; open until ``resumed_at``.

    An operator made it, or a worker since the destination accepts nothing. The latter has a
    ``cause``, and does not hold back an attempt from ``retry_at`` on.
    """

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
    cause: Mapped[str | None]
    retry_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    """Failed attempts in a row."""
