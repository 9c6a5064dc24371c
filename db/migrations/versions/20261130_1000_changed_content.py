"""Sender of each instance, changed content from another sender, refused changes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261130_1000"
down_revision = "20261130_0940"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instance", sa.Column("calling_ae_title", sa.String(length=16)))
    op.add_column("instance", sa.Column("source_address", sa.Text()))
    op.add_column("series", sa.Column("change_refused", sa.Text()))
    state = sa.Enum(
        "held",
        "accepted",
        "refused",
        name="state",
        native_enum=False,
        create_constraint=True,
        length=16,
    )
    op.create_table(
        "held_instance",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column("source_address", sa.Text(), nullable=False),
        sa.Column("differences", postgresql.JSONB(), nullable=False),
        sa.Column("state", state, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("decided_by", sa.Text()),
        sa.Column("applied_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "(state = 'held') = (decided_at IS NULL)", name=op.f("ck_held_instance_decided")
        ),
        sa.ForeignKeyConstraint(
            ["series_id"], ["series.id"], name=op.f("fk_held_instance_series_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_held_instance")),
    )
    op.create_index(
        "uq_held_instance_held",
        "held_instance",
        ["series_id", "sop_instance_uid", "sha256"],
        unique=True,
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index(
        "ix_held_instance_decided",
        "held_instance",
        ["id"],
        postgresql_where=sa.text("state <> 'held' AND applied_at IS NULL"),
    )
    op.create_index("ix_held_instance_series_id", "held_instance", ["series_id"])


def downgrade() -> None:
    op.drop_table("held_instance")
    op.drop_column("series", "change_refused")
    op.drop_column("instance", "source_address")
    op.drop_column("instance", "calling_ae_title")
