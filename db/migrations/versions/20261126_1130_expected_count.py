"""What a PACS counted in a series."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_1130"
down_revision = "20261123_1515"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("series", sa.Column("expected_count", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("series", "expected_count")
