"""Studies as the unit of a result; existing series keep a result each."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261130_0500"
down_revision = "20261129_2010"
branch_labels = None
depends_on = None

SERIES_STATES = (
    "receiving",
    "queued",
    "screening",
    "screened",
    "delivered",
    "rejected",
    "failed",
)
RUN_OUTCOMES = ("screened", "rejected", "failed", "expired", "given_back", "superseded")
STUDY_STATES = (
    "collecting",
    "screening",
    "reported",
    "delivered",
    "nothing_to_report",
    "failed",
)


def by_value(name: str, values: tuple[str, ...], length: int) -> sa.Enum:
    """Text with a CHECK."""
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=length)


def upgrade() -> None:
    allow_values(series=(*SERIES_STATES, "not_selected"), run=(*RUN_OUTCOMES, "unchanged"))
    create_study()
    create_study_event()
    link_series()
    link_screening()


def create_study() -> None:
    op.create_table(
        "study",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column(
            "result_per", by_value("result_per", ("study", "series"), 16), nullable=False
        ),
        sa.Column("state", by_value("state", STUDY_STATES, 24)),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True)),
        sa.Column("reason_code", sa.String(length=32)),
        sa.Column("reason_text", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.Column("last_received_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("correlation_id", sa.String(length=16)),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_study_attempts")),
        sa.CheckConstraint("revision >= 0", name=op.f("ck_study_revision")),
        sa.CheckConstraint(
            "(result_per = 'series') = (state IS NULL)",
            name=op.f("ck_study_result_per_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study")),
        sa.UniqueConstraint("study_instance_uid", name=op.f("uq_study_study_instance_uid")),
    )
    op.create_index(
        "ix_study_collecting",
        "study",
        ["last_received_at"],
        postgresql_where=sa.text("state = 'collecting'"),
    )
    op.create_index(
        "ix_study_due",
        "study",
        ["next_attempt_at", "id"],
        postgresql_where=sa.text("state = 'screening'"),
    )
    op.create_index("ix_study_state", "study", ["state", "changed_at"])


def create_study_event() -> None:
    op.create_table(
        "study_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("before", by_value("before", STUDY_STATES, 24)),
        sa.Column("after", by_value("after", STUDY_STATES, 24)),
        sa.Column("detail", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_study_event_study_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_event")),
    )
    op.create_index("ix_study_event_study_id", "study_event", ["study_id", "id"])
    op.execute(
        """
        CREATE TRIGGER study_event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE
        ON study_event FOR EACH STATEMENT EXECUTE FUNCTION review_is_append_only()
        """
    )


def link_series() -> None:
    """Give each study on record a row, in which every series keeps its result."""
    op.execute(
        """
        INSERT INTO study (study_instance_uid, result_per, revision, attempts,
                           last_received_at, created_at, changed_at)
        SELECT study_instance_uid, 'series', 0, 0,
               max(last_received_at), min(created_at), max(changed_at)
        FROM series GROUP BY study_instance_uid ORDER BY min(created_at)
        """
    )
    op.add_column("series", sa.Column("study_id", sa.BigInteger()))
    op.add_column("series", sa.Column("rank", sa.Integer()))
    op.execute(
        """
        UPDATE series SET study_id = study.id FROM study
        WHERE study.study_instance_uid = series.study_instance_uid
        """
    )
    op.alter_column("series", "study_id", nullable=False)
    op.create_foreign_key(op.f("fk_series_study_id"), "series", "study", ["study_id"], ["id"])
    op.create_index("ix_series_study_id", "series", ["study_id", "id"])


def link_screening() -> None:
    op.add_column("screening", sa.Column("study_id", sa.BigInteger()))
    op.add_column("screening", sa.Column("folder", sa.Text()))
    op.create_foreign_key(
        op.f("fk_screening_study_id"), "screening", "study", ["study_id"], ["id"]
    )
    op.create_index("ix_screening_study_id", "screening", ["study_id"])
    op.create_index(
        "uq_screening_active_study",
        "screening",
        ["study_id"],
        unique=True,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.add_column("hip", sa.Column("series_id", sa.BigInteger()))
    op.create_foreign_key(op.f("fk_hip_series_id"), "hip", "series", ["series_id"], ["id"])


def downgrade() -> None:
    op.drop_column("hip", "series_id")
    op.drop_column("screening", "folder")
    op.drop_column("screening", "study_id")
    op.drop_column("series", "rank")
    op.drop_column("series", "study_id")
    op.drop_table("study_event")
    op.drop_table("study")
    op.execute("UPDATE series SET state = 'rejected' WHERE state = 'not_selected'")
    op.execute("UPDATE screening SET outcome = 'superseded' WHERE outcome = 'unchanged'")
    allow_values(series=SERIES_STATES, run=RUN_OUTCOMES)


def allow_values(*, series: tuple[str, ...], run: tuple[str, ...]) -> None:
    """Replace the CHECK of each column with states; events on record are not changed."""
    for table, column, values in (
        ("series", "state", series),
        ("event", "before", series),
        ("event", "after", series),
        ("screening", "outcome", run),
    ):
        name = f"ck_{table}_{column}"
        op.drop_constraint(op.f(name), table, type_="check")
        listed = ", ".join(f"'{value}'" for value in values)
        op.create_check_constraint(
            op.f(name),
            table,
            f'"{column}" IN ({listed})',
            postgresql_not_valid=table == "event" and series == SERIES_STATES,
        )
