"""What a candidate model says beside the live one, and which model is live."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_1240"
down_revision = "20261126_1221"
branch_labels = None
depends_on = None

GRADES = "('normal', 'osteopenia', 'osteoporosis')"


def upgrade() -> None:
    op.create_table(
        "shadow_hip",
        sa.Column("screening_id", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.String(length=1), nullable=False),
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("grade", sa.String(length=16)),
        sa.Column("reason_code", sa.String(length=32)),
        sa.Column("probability_normal", sa.Double(), nullable=False),
        sa.Column("probability_osteopenia", sa.Double(), nullable=False),
        sa.Column("probability_osteoporosis", sa.Double(), nullable=False),
        sa.CheckConstraint("side IN ('R', 'L')", name=op.f("ck_shadow_hip_side")),
        sa.CheckConstraint(f"grade IN {GRADES}", name=op.f("ck_shadow_hip_grade")),
        sa.ForeignKeyConstraint(
            ["screening_id"], ["screening.id"], name=op.f("fk_shadow_hip_screening_id")
        ),
        sa.PrimaryKeyConstraint(
            "screening_id", "side", "model_sha256", name=op.f("pk_shadow_hip")
        ),
    )
    op.create_index("ix_shadow_hip_model_sha256", "shadow_hip", ["model_sha256"])
    op.create_index("ix_shadow_hip_at", "shadow_hip", ["at"])
    op.create_table(
        "model_release",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("folder", sa.Text()),
        sa.Column("model_name", sa.Text()),
        sa.Column("model_version", sa.Text()),
        sa.Column("model_sha256", sa.String(length=64)),
        sa.Column("previous_id", sa.BigInteger()),
        sa.CheckConstraint(
            "action IN ('promote', 'rollback')", name=op.f("ck_model_release_action")
        ),
        sa.ForeignKeyConstraint(
            ["previous_id"], ["model_release.id"], name=op.f("fk_model_release_previous_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_release")),
    )


def downgrade() -> None:
    op.drop_table("model_release")
    op.drop_table("shadow_hip")
