"""Migrations: upgrade, downgrade, comparison with the models, concurrent processes.

The tests run all revisions.
"""

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, text
from sqlalchemy.exc import DBAPIError

from db import migrate
from db.models import Base
from db.models.review import APPEND_ONLY
from db.session import make_engine, make_sessions
from deploy.demo.embedded import Postgres
from tests.clean_host.next_package import MIGRATED, add_migration
from tests.support.record import completed, register
from tests.support.servers import child_environment

pytestmark = pytest.mark.servers

REVISIONS = [
    script.revision
    for script in reversed(list(ScriptDirectory(str(migrate.MIGRATIONS)).walk_revisions()))
]

BEFORE_STUDIES = "20261129_2010"
INSERT_SERIES = """
INSERT INTO series (study_instance_uid, series_instance_uid, state, revision, attempts,
                    created_at, changed_at, instance_count, total_bytes, refused_count)
VALUES (:study, :series, 'delivered', 1, 1, now(), now(), 30, 1, 0)
"""
CATALOG = """
SELECT 'constraint', conrelid::regclass::text || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'column', table_name || '.' || column_name,
       concat_ws(' ', data_type, character_maximum_length, is_nullable, is_identity)
FROM information_schema.columns WHERE table_schema = 'public'
"""


@pytest.fixture
def empty_url(postgres: Postgres) -> Iterator[str]:
    postgres.execute("DROP DATABASE IF EXISTS migrations WITH (FORCE)")
    postgres.execute("CREATE DATABASE migrations")
    yield postgres.url_of("migrations")
    postgres.execute("DROP DATABASE migrations WITH (FORCE)")


@pytest.fixture
def engine(empty_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_url, application_name="test")
    yield engine
    engine.dispose()


def catalog(engine: Engine) -> set[tuple[str, str, str]]:
    """Return every column, constraint and index as PostgreSQL describes it."""
    with engine.connect() as connection:
        rows = connection.execute(text(CATALOG))
        return {(a, b, c) for a, b, c in rows if not b.startswith("alembic_version")}


def relations(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(
            connection.scalars(
                text(
                    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                    " AND relname NOT LIKE 'alembic_version%'"
                    " UNION ALL SELECT proname FROM pg_proc"
                    " WHERE pronamespace = 'public'::regnamespace"
                )
            )
        )


def db(command: str, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "db", command],
        env=child_environment({"DATABASE_URL": url}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.covers("R20")
def test_each_revision_goes_up_down_and_up_again(engine: Engine) -> None:
    for revision in REVISIONS:
        migrate.upgrade(engine, revision)
        before = catalog(engine)
        migrate.downgrade(engine, "-1")
        migrate.upgrade(engine, revision)
        assert migrate.current(engine) == revision
        assert catalog(engine) == before

    migrate.downgrade(engine, "base")
    assert relations(engine) == []


def test_migration_of_the_trial_of_an_upgrade_changes_the_series_on_record(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.upgrade(engine)
    head, sessions = migrate.newest(), make_sessions(engine)
    register(sessions)
    data = tmp_path / "data.tar"
    with tarfile.open(data, "w") as archive:
        archive.add(migrate.MIGRATIONS, "./db/migrations")

    revision = add_migration(data)

    with tarfile.open(data) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.setattr(migrate, "MIGRATIONS", tmp_path / "db/migrations")
    with pytest.raises(migrate.SchemaNotCurrent, match=f"this version needs {revision}"):
        migrate.require_current_schema(engine)
    migrate.upgrade(engine)
    register(sessions, completed(study_instance_uid="1.9", series_instance_uid="1.9.1"))
    with sessions() as session:
        assert session.scalar(text(MIGRATED)) == 1
    assert migrate.current(engine) == revision
    migrate.downgrade(engine, head)
    assert migrate.current(engine) == head


def test_series_on_record_keep_a_result_each(engine: Engine) -> None:
    migrate.upgrade(engine, BEFORE_STUDIES)
    with engine.begin() as connection:
        for study, series in (("1.1", "1.1.1"), ("1.1", "1.1.2"), ("1.2", "1.2.1")):
            connection.execute(text(INSERT_SERIES), {"study": study, "series": series})
        before = connection.execute(text("SELECT id, state, changed_at FROM series")).all()

    migrate.upgrade(engine)

    with engine.connect() as connection:
        after = connection.execute(text("SELECT id, state, changed_at FROM series")).all()
        studies = connection.execute(
            text(
                "SELECT study.study_instance_uid, result_per, study.state, count(*)"
                " FROM study JOIN series ON series.study_id = study.id GROUP BY study.id"
                " ORDER BY 1"
            )
        ).all()
    assert sorted(after) == sorted(before)
    assert [tuple(row) for row in studies] == [
        ("1.1", "series", None, 2),
        ("1.2", "series", None, 1),
    ]


def test_the_migrated_schema_is_that_of_the_models(engine: Engine, postgres: Postgres) -> None:
    migrate.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    migrated = catalog(engine)

    migrate.downgrade(engine, "base")
    Base.metadata.create_all(engine)

    assert catalog(engine) == migrated


def test_the_comparison_notices_a_missing_check(engine: Engine) -> None:
    migrate.upgrade(engine)
    before = catalog(engine)

    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE hip DROP CONSTRAINT ck_hip_side"))

    assert {name for _, name, _ in before - catalog(engine)} == {"hip.ck_hip_side"}


def test_two_processes_upgrade_at_once(empty_url: str, tmp_path: Path) -> None:
    commands = [
        subprocess.Popen(
            [sys.executable, "-m", "db", "upgrade"],
            env=child_environment({"DATABASE_URL": empty_url}),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [command.communicate(timeout=60)[0] for command in commands]

    assert [command.returncode for command in commands] == [0, 0], outputs
    assert db("current", empty_url, tmp_path).stdout.strip() == migrate.newest()


def test_current_names_the_remedy_until_the_schema_is_current(
    empty_url: str, tmp_path: Path
) -> None:
    empty = db("current", empty_url, tmp_path)
    upgrade = db("upgrade", empty_url, tmp_path)
    current = db("current", empty_url, tmp_path)
    again = db("upgrade", empty_url, tmp_path)

    assert (empty.returncode, empty.stdout) == (1, "empty\n")
    assert "python -m db upgrade" in empty.stderr
    assert (upgrade.returncode, current.returncode, current.stderr) == (0, 0, "")
    assert "already up to date" in again.stdout


def test_a_database_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    result = db("current", "postgresql://u:geheim@127.0.0.1:9/none", tmp_path)

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "geheim" not in result.stderr


@pytest.mark.covers("R20")
def test_a_newer_schema_is_not_downgraded_but_explained(engine: Engine) -> None:
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '20991231_0000'"))

    with pytest.raises(migrate.SchemaNotCurrent, match="newer than this version"):
        migrate.require_current_schema(engine)


@pytest.mark.parametrize("table", ["event", "study_event", *APPEND_ONLY])
@pytest.mark.parametrize(
    "statement", ["UPDATE {table} SET at = now()", "DELETE FROM {table}", "TRUNCATE {table}"]
)
def test_events_and_tables_of_the_review_are_append_only(
    statement: str, table: str, engine: Engine
) -> None:
    migrate.upgrade(engine)

    with (
        pytest.raises(DBAPIError, match=f"{table} is append-only"),
        engine.begin() as connection,
    ):
        connection.execute(text(statement.format(table=table)))


def test_constraints_have_names_of_at_most_63_characters() -> None:
    metadata: MetaData = Base.metadata
    names = [
        str(one.name)
        for table in metadata.sorted_tables
        for one in (*table.constraints, *table.indexes)
    ]

    assert "None" not in names
    assert [name for name in names if len(name) > 63] == []
