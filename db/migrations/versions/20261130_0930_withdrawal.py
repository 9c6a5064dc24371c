"""Withdrawn results, and rejection notes that wait for what replaces a result.

Results on record that were replaced before keep their objects: nothing is withdrawn.
"""

import sqlalchemy as sa
from alembic import op

revision = "20261130_0930"
down_revision = "20261130_0545"
branch_labels = None
depends_on = None

DELIVERY_STATES = ("due", "sent", "confirmed", "refused")
REASONS = ("replaced", "wrong_patient", "operator", "model")
OWED = "state IN ('due', 'refused')"


def upgrade() -> None:
    add_withdrawal()
    op.add_column(
        "delivery",
        sa.Column("may_hold", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.alter_column("delivery", "may_hold", server_default=None)
    op.execute(
        """
        UPDATE delivery SET may_hold = true
        WHERE state IN ('sent', 'confirmed') OR sent_at IS NOT NULL
           OR (state = 'due' AND last_status IS NOT NULL)
        """
    )
    allow_states((*DELIVERY_STATES, "waiting", "withdrawn"))
    index_owed("state IN ('due', 'refused', 'waiting')")


def add_withdrawal() -> None:
    reason = sa.Enum(
        *REASONS,
        name="withdrawal_reason",
        native_enum=False,
        create_constraint=True,
        length=16,
    )
    op.add_column("screening", sa.Column("withdrawn_at", sa.DateTime(timezone=True)))
    op.add_column("screening", sa.Column("withdrawn_by", sa.Text()))
    op.add_column("screening", sa.Column("withdrawal_reason", reason))
    op.add_column("screening", sa.Column("replaced_by", sa.BigInteger()))
    op.create_foreign_key(
        op.f("fk_screening_replaced_by"), "screening", "screening", ["replaced_by"], ["id"]
    )
    op.create_check_constraint(
        op.f("ck_screening_withdrawn"),
        "screening",
        "(withdrawn_at IS NULL) = (withdrawal_reason IS NULL)",
    )
    for column in ("withdrawn_at", "replaced_by"):
        op.create_index(
            f"ix_screening_{column}",
            "screening",
            [column],
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )


def downgrade() -> None:
    op.execute("UPDATE delivery SET state = 'due' WHERE state = 'waiting'")
    op.execute("UPDATE delivery SET state = 'refused' WHERE state = 'withdrawn'")
    allow_states(DELIVERY_STATES)
    index_owed(OWED)
    op.drop_column("delivery", "may_hold")
    op.drop_column("screening", "replaced_by")
    op.drop_column("screening", "withdrawal_reason")
    op.drop_column("screening", "withdrawn_by")
    op.drop_column("screening", "withdrawn_at")


def allow_states(values: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_delivery_state"), "delivery", type_="check")
    listed = ", ".join(f"'{value}'" for value in values)
    op.create_check_constraint(op.f("ck_delivery_state"), "delivery", f"state IN ({listed})")


def index_owed(condition: str) -> None:
    op.drop_index("ix_delivery_owed", "delivery")
    op.create_index(
        "ix_delivery_owed",
        "delivery",
        ["destination", "state"],
        postgresql_where=sa.text(condition),
    )
