"""Initial schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261123_1515"
down_revision = None
branch_labels = None
depends_on = None


APPEND_ONLY_FUNCTION = """
CREATE FUNCTION event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'event is append-only: % is not allowed', TG_OP;
END
$$
"""
APPEND_ONLY_TRIGGER = """
CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
FOR EACH STATEMENT EXECUTE FUNCTION event_is_append_only()
"""


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
DELIVERY_STATES = ("due", "sent", "confirmed", "refused")


def by_value(name: str, values: tuple[str, ...]) -> sa.Enum:
    """Text with a CHECK."""
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=16)


def upgrade() -> None:
    create_series()
    create_event()
    create_instance()
    create_screening()
    create_hip()
    create_result_object()
    create_delivery()


def create_series() -> None:
    op.create_table(
        "series",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            by_value("state", SERIES_STATES),
            nullable=False,
        ),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True)),
        sa.Column("reason_code", sa.String(length=32)),
        sa.Column("reason_text", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("instance_count", sa.Integer(), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("content_sha256", sa.String(length=64)),
        sa.Column("completed_by", sa.String(length=16)),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.Column("last_received_at", sa.DateTime(timezone=True)),
        sa.Column("spool_mtime_ns", sa.BigInteger()),
        sa.Column("calling_ae_title", sa.String(length=16)),
        sa.Column("patient_id", sa.Text()),
        sa.Column("issuer_of_patient_id", sa.Text()),
        sa.Column("patient_sex", sa.String(length=16)),
        sa.Column("patient_age_years", sa.Double()),
        sa.Column("patient_size_m", sa.Double()),
        sa.Column("patient_weight_kg", sa.Double()),
        sa.Column("study_date", sa.Date()),
        sa.Column("accession_number", sa.Text()),
        sa.Column("series_number", sa.Integer()),
        sa.Column("series_description", sa.Text()),
        sa.Column("body_part_examined", sa.Text()),
        sa.Column("manufacturer", sa.Text()),
        sa.Column("manufacturer_model_name", sa.Text()),
        sa.Column("convolution_kernel", sa.Text()),
        sa.Column("kvp", sa.Double()),
        sa.Column("slice_thickness_mm", sa.Double()),
        sa.CheckConstraint(
            "state = 'receiving' OR revision > 0", name=op.f("ck_series_received")
        ),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_series_attempts")),
        sa.CheckConstraint("revision >= 0", name=op.f("ck_series_revision")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint(
            "study_instance_uid",
            "series_instance_uid",
            name=op.f("uq_series_study_instance_uid_series_instance_uid"),
        ),
    )
    op.create_index("ix_series_changed_at", "series", ["changed_at"])
    op.create_index(
        "ix_series_due",
        "series",
        ["next_attempt_at", "id"],
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index("ix_series_patient", "series", ["patient_id", "issuer_of_patient_id"])
    op.create_index("ix_series_series_instance_uid", "series", ["series_instance_uid"])
    op.create_index("ix_series_state", "series", ["state"])


def create_event() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column(
            "before",
            by_value("before", SERIES_STATES),
        ),
        sa.Column(
            "after",
            by_value("after", SERIES_STATES),
        ),
        sa.Column("detail", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_event_series_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index("ix_event_series_id", "event", ["series_id", "id"])
    op.execute(APPEND_ONLY_FUNCTION)
    op.execute(APPEND_ONLY_TRIGGER)


def create_instance() -> None:
    op.create_table(
        "instance",
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_id"], ["series.id"], name=op.f("fk_instance_series_id")
        ),
        sa.PrimaryKeyConstraint("series_id", "sop_instance_uid", name=op.f("pk_instance")),
    )


def create_screening() -> None:
    op.create_table(
        "screening",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("leased_by", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column(
            "outcome",
            by_value("outcome", RUN_OUTCOMES),
        ),
        sa.Column("reason_code", sa.String(length=32)),
        sa.Column("reason_text", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("orientation", sa.String(length=16)),
        sa.Column("grade", sa.String(length=16)),
        sa.Column("model_name", sa.Text()),
        sa.Column("model_version", sa.Text()),
        sa.Column("model_modality", sa.Text()),
        sa.Column("model_training_data", sa.Text()),
        sa.Column("model_sha256", sa.String(length=64)),
        sa.Column("warnings", postgresql.JSONB()),
        sa.Column("timings_ms", postgresql.JSONB()),
        sa.Column("result", postgresql.JSONB()),
        sa.CheckConstraint(
            "grade IN ('normal', 'osteopenia', 'osteoporosis')", name=op.f("ck_screening_grade")
        ),
        sa.CheckConstraint(
            "(outcome IS NULL) = (finished_at IS NULL)", name=op.f("ck_screening_finished")
        ),
        sa.ForeignKeyConstraint(
            ["series_id"], ["series.id"], name=op.f("fk_screening_series_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_screening")),
    )
    op.create_index(
        "ix_screening_lease_until",
        "screening",
        ["lease_until"],
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index("ix_screening_series_id", "screening", ["series_id"])
    op.create_index(
        "uq_screening_active",
        "screening",
        ["series_id", "revision"],
        unique=True,
        postgresql_where=sa.text("finished_at IS NULL"),
    )


def create_hip() -> None:
    op.create_table(
        "hip",
        sa.Column("screening_id", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.String(length=1), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason_code", sa.String(length=32)),
        sa.Column("reason_text", sa.Text()),
        sa.Column("grade", sa.String(length=16)),
        sa.Column("probability_normal", sa.Double()),
        sa.Column("probability_osteopenia", sa.Double()),
        sa.Column("probability_osteoporosis", sa.Double()),
        sa.Column("neck_hu", sa.Double()),
        sa.Column("neck_sd_hu", sa.Double()),
        sa.Column("center_x_mm", sa.Double()),
        sa.Column("center_y_mm", sa.Double()),
        sa.Column("center_z_mm", sa.Double()),
        sa.CheckConstraint(
            "(state = 'graded') = (grade IS NOT NULL)", name=op.f("ck_hip_graded")
        ),
        sa.CheckConstraint(
            "grade IN ('normal', 'osteopenia', 'osteoporosis')", name=op.f("ck_hip_grade")
        ),
        sa.CheckConstraint("side IN ('R', 'L')", name=op.f("ck_hip_side")),
        sa.CheckConstraint("state IN ('graded', 'not_assessable')", name=op.f("ck_hip_state")),
        sa.ForeignKeyConstraint(
            ["screening_id"], ["screening.id"], name=op.f("fk_hip_screening_id")
        ),
        sa.PrimaryKeyConstraint("screening_id", "side", name=op.f("pk_hip")),
    )


def create_result_object() -> None:
    op.create_table(
        "result_object",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("screening_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["screening_id"], ["screening.id"], name=op.f("fk_result_object_screening_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_result_object")),
        sa.UniqueConstraint(
            "screening_id", "role", name=op.f("uq_result_object_screening_id_role")
        ),
    )


def create_delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("screening_id", sa.BigInteger(), nullable=False),
        sa.Column("object_id", sa.BigInteger(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column(
            "state",
            by_value("state", DELIVERY_STATES),
            nullable=False,
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("leased_by", sa.Text()),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("confirmed_at", sa.DateTime(timezone=True)),
        sa.Column("last_status", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_delivery_attempts")),
        sa.ForeignKeyConstraint(
            ["object_id"], ["result_object.id"], name=op.f("fk_delivery_object_id")
        ),
        sa.ForeignKeyConstraint(
            ["screening_id"], ["screening.id"], name=op.f("fk_delivery_screening_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint(
            "object_id", "destination", name=op.f("uq_delivery_object_id_destination")
        ),
    )
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["next_attempt_at"],
        postgresql_where=sa.text("state = 'due'"),
    )
    op.create_index("ix_delivery_screening_id", "delivery", ["screening_id"])


def downgrade() -> None:
    for table in (
        "delivery",
        "result_object",
        "hip",
        "screening",
        "instance",
        "event",
        "series",
    ):
        op.drop_table(table)
    op.execute("DROP FUNCTION event_is_append_only")
