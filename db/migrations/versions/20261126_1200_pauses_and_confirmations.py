"""Pauses of destinations, and by what a delivery was confirmed."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_1200"
down_revision = "20261126_1130"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pause",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paused_by", sa.Text(), nullable=False),
        sa.Column("resumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resumed_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(resumed_by IS NULL) = (resumed_at IS NULL)", name=op.f("ck_pause_resumed")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pause")),
    )
    op.create_index(
        "uq_pause_open",
        "pause",
        ["destination"],
        unique=True,
        postgresql_where=sa.text("resumed_at IS NULL"),
    )
    op.add_column("delivery", sa.Column("confirmed_by", sa.String(16), nullable=True))
    op.add_column("delivery", sa.Column("transaction_uid", sa.String(64), nullable=True))
    op.create_index("ix_delivery_transaction_uid", "delivery", ["transaction_uid"])
    # Until now a query was the only way.
    op.execute("UPDATE delivery SET confirmed_by = 'query' WHERE state = 'confirmed'")


def downgrade() -> None:
    op.drop_index("ix_delivery_transaction_uid", "delivery")
    op.drop_column("delivery", "transaction_uid")
    op.drop_column("delivery", "confirmed_by")
    op.drop_table("pause")
