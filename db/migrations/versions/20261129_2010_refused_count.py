"""How many instances of a series were refused at reception and not sent again."""

import sqlalchemy as sa
from alembic import op

revision = "20261129_2010"
down_revision = "20261126_1540"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "series", sa.Column("refused_count", sa.Integer(), nullable=False, server_default="0")
    )
    op.alter_column("series", "refused_count", server_default=None)


def downgrade() -> None:
    op.drop_column("series", "refused_count")
