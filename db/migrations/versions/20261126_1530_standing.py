"""Indexes by which ``status`` counts what is open and recent, however much is on record."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_1530"
down_revision = "20261126_1240"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_series_waiting",
        "series",
        ["completed_at"],
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_delivery_owed",
        "delivery",
        ["destination", "state"],
        postgresql_where=sa.text("state IN ('due', 'refused')"),
    )
    op.create_index("ix_delivery_sent_at", "delivery", ["destination", "sent_at"])


def downgrade() -> None:
    op.drop_index("ix_delivery_sent_at", "delivery")
    op.drop_index("ix_delivery_owed", "delivery")
    op.drop_index("ix_series_waiting", "series")
