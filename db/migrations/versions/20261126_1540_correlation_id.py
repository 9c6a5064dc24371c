"""By which all log lines about a revision are found, from association to delivery."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_1540"
down_revision = "20261126_1530"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("series", "screening"):
        op.add_column(table, sa.Column("correlation_id", sa.String(16), nullable=True))


def downgrade() -> None:
    for table in ("series", "screening"):
        op.drop_column(table, "correlation_id")
