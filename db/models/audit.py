"""Table of audit messages (PS3.15 A.5) that are sent, or wait to be sent, to a repository."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base


class AuditMessage(Base):
    """An audited event; written in the transaction of what it reports.

    ``detail`` : user, address, study and patient ID. PHI; never logged.
    """

    __tablename__ = "audit_message"
    __table_args__ = (
        Index(
            "ix_audit_message_due", "next_attempt_at", "id",
            postgresql_where=text("sent_at IS NULL"),
        ),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime]
    event: Mapped[str] = mapped_column(String(32))
    detail: Mapped[dict[str, Any]]
    next_attempt_at: Mapped[datetime]
    """Also the end of the claim of a worker that sends it."""
    sent_at: Mapped[datetime | None]
