"""Table of changed content from another sender."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import AE_TITLE, SHA256, UID, Base, by_value
from db.states import HeldState


class HeldInstance(Base):
    """Other bytes under the SOP Instance UID of an instance that another sender had sent.

    Its file is ``<spool>/held/<study>/<series>/<sha256>.dcm`` until a decision is applied.
    """

    __tablename__ = "held_instance"
    __table_args__ = (
        Index(
            "uq_held_instance_held",
            "series_id",
            "sop_instance_uid",
            "sha256",
            unique=True,
            postgresql_where=text("state = 'held'"),
        ),
        Index(
            "ix_held_instance_decided",
            "id",
            postgresql_where=text("state <> 'held' AND applied_at IS NULL"),
        ),
        Index("ix_held_instance_series_id", "series_id"),
        CheckConstraint("(state = 'held') = (decided_at IS NULL)", name="decided"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    sop_instance_uid: Mapped[str] = mapped_column(UID)
    sha256: Mapped[str] = mapped_column(SHA256)
    """Digest of the encoded data set without the File Meta Information."""
    received_at: Mapped[datetime]
    calling_ae_title: Mapped[str] = mapped_column(AE_TITLE)
    source_address: Mapped[str]
    differences: Mapped[list[str]]
    """Keywords of attributes that differ from the first content; no values."""
    state: Mapped[HeldState] = mapped_column(by_value(HeldState, "state"))
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    applied_at: Mapped[datetime | None]
    """Time when the Storage SCP moved or deleted the file."""
