"""Why the screening policy does not deliver a result."""

import sqlalchemy as sa
from alembic import op

revision = "20261130_0940"
down_revision = "20261130_0930"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("screening", sa.Column("not_delivered_code", sa.String(32), nullable=True))
    op.add_column("screening", sa.Column("not_delivered_text", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("screening", "not_delivered_text")
    op.drop_column("screening", "not_delivered_code")
