"""Cause and end of pauses that a worker made because a destination accepts nothing."""

import sqlalchemy as sa
from alembic import op

revision = "20261130_0545"
down_revision = "20261130_0500"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pause", sa.Column("cause", sa.Text(), nullable=True))
    op.add_column("pause", sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "pause", sa.Column("failures", sa.Integer(), nullable=False, server_default="0")
    )
    op.alter_column("pause", "failures", server_default=None)


def downgrade() -> None:
    op.execute("DELETE FROM pause WHERE retry_at IS NOT NULL")
    op.drop_column("pause", "failures")
    op.drop_column("pause", "retry_at")
    op.drop_column("pause", "cause")
