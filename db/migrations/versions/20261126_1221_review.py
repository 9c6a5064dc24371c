"""Review page: who looked, what readers say, what DXA found; indexes of the worklist."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261126_1221"
down_revision = "20261126_1200"
branch_labels = None
depends_on = None

APPEND_ONLY = ("access", "feedback", "dxa_result")
GRADE_VALUES = "('normal', 'osteopenia', 'osteoporosis')"


def upgrade() -> None:
    create_access()
    create_feedback()
    create_dxa_result()
    op.execute(
        """
        CREATE FUNCTION review_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only: % is not allowed', TG_TABLE_NAME, TG_OP;
        END
        $$
        """
    )
    for table in APPEND_ONLY:
        op.execute(
            f"""
            CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE
            ON {table} FOR EACH STATEMENT EXECUTE FUNCTION review_is_append_only()
            """
        )
    op.create_index("ix_series_created_at", "series", ["created_at", "id"])
    op.create_index("ix_series_accession_number", "series", ["accession_number"])
    op.create_index("ix_series_scanner", "series", ["manufacturer", "manufacturer_model_name"])


def create_access() -> None:
    op.create_table(
        "access",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("series_id", sa.BigInteger()),
        sa.Column("detail", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_access_series_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access")),
    )
    op.create_index("ix_access_series_id", "access", ["series_id", "id"])


def create_feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("screening_id", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.String(length=1), nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("agrees", sa.Boolean(), nullable=False),
        sa.Column("corrected_grade", sa.String(length=16)),
        sa.Column("comment", sa.Text()),
        sa.CheckConstraint("side IN ('R', 'L')", name=op.f("ck_feedback_side")),
        sa.CheckConstraint(
            f"corrected_grade IN {GRADE_VALUES}", name=op.f("ck_feedback_corrected_grade")
        ),
        sa.CheckConstraint(
            "NOT (agrees AND corrected_grade IS NOT NULL)",
            name=op.f("ck_feedback_correction"),
        ),
        sa.ForeignKeyConstraint(
            ["screening_id"], ["screening.id"], name=op.f("fk_feedback_screening_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
    )
    op.create_index("ix_feedback_screening_id", "feedback", ["screening_id", "id"])


def create_dxa_result() -> None:
    op.create_table(
        "dxa_result",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entered_by", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("issuer_of_patient_id", sa.Text()),
        sa.Column("dxa_date", sa.Date(), nullable=False),
        sa.Column("side", sa.String(length=1)),
        sa.Column("t_score", sa.Double(), nullable=False),
        sa.CheckConstraint("side IN ('R', 'L')", name=op.f("ck_dxa_result_side")),
        sa.CheckConstraint("t_score BETWEEN -8 AND 8", name=op.f("ck_dxa_result_t_score")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dxa_result")),
    )
    op.create_index(
        "ix_dxa_result_patient",
        "dxa_result",
        ["patient_id", "issuer_of_patient_id", "dxa_date"],
    )


def downgrade() -> None:
    op.drop_index("ix_series_scanner", "series")
    op.drop_index("ix_series_accession_number", "series")
    op.drop_index("ix_series_created_at", "series")
    for table in APPEND_ONLY:
        op.drop_table(table)
    op.execute("DROP FUNCTION review_is_append_only")
