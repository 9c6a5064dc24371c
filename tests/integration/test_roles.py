"""Covered: rights of the database roles of the services; a refused change of append-only
tables; no value of a statement in the log of PostgreSQL.

Not covered: the work of the services with their roles, which the tests of the running services
show (tests/support/system_under_test.py, worker_fixture.py, review_site.py).
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2  # type: ignore[import-untyped]
import pytest
from psycopg2.errors import (  # type: ignore[import-untyped]
    InsufficientPrivilege,
    QueryCanceled,
    UniqueViolation,
)
from sqlalchemy import Engine, text

from db import roles
from db.models import Base
from db.session import make_engine
from deploy.demo.embedded import Postgres
from tests.support.databases import (
    create_service_roles,
    fresh_database,
    service_url,
)
from tests.support.services import service_process

pytestmark = pytest.mark.servers
SERVICES = ("storescp", "worker", "review")
APPEND_ONLY = ("access", "event", "study_event", "feedback", "dxa_result")
CHANGES = (
    "UPDATE {} SET at = at",
    "DELETE FROM {}",
    "TRUNCATE {}",
    "DROP TABLE {}",
    "ALTER TABLE {} DISABLE TRIGGER ALL",
    "DROP TRIGGER {0}_is_append_only ON {0}",
    "ALTER TABLE {} OWNER TO CURRENT_USER",
)
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
DB_ROLES = (sys.executable, "-m", "db", "roles")


@pytest.fixture(scope="module")
def owner_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    with fresh_database(postgres, migrated_template) as url:
        create_service_roles(url)
        yield url


@pytest.fixture(scope="module")
def owner(owner_url: str) -> Iterator[Engine]:
    engine = make_engine(owner_url, application_name="tests")
    yield engine
    engine.dispose()


def connect(owner_url: str, service: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(service_url(owner_url, service).replace("+psycopg2", ""))


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.covers("T16")
def test_a_service_has_its_rights_and_no_others(service: str, owner: Engine) -> None:
    role = f"osteoscreen_{service}"
    granted = text("SELECT has_table_privilege(:role, :table, :privilege)")
    tables = (*Base.metadata.tables, roles.VERSION_TABLE)

    with owner.connect() as connection:
        found = {
            (table, privilege)
            for table in tables
            for privilege in PRIVILEGES
            if connection.scalar(
                granted, {"role": role, "table": table, "privilege": privilege}
            )
        }
        creates = connection.scalar(
            text("SELECT has_schema_privilege(:role, 'public', 'CREATE')"), {"role": role}
        )

    expected = {**roles.RIGHTS[role], roles.VERSION_TABLE: "SELECT"}
    assert found == {
        (table, one)
        for table, rights in expected.items()
        for one in rights.split(", ")
        if one != "SELECT (id)"
    }
    assert not creates
    # Nothing of the record is ever deleted.
    assert not {one for one in found if one[1] in ("DELETE", "TRUNCATE", "TRIGGER")}


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.covers("T10")
def test_a_service_cannot_change_what_is_appended(
    service: str, table: str, owner_url: str
) -> None:
    connection = connect(owner_url, service)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in CHANGES:
            with pytest.raises(InsufficientPrivilege):
                cursor.execute(statement.format(table))
    connection.close()


@pytest.mark.covers("T10")
def test_only_the_review_page_appends_to_the_access_log(owner_url: str) -> None:
    insert = (
        "INSERT INTO access (at, who, role, address, what, detail)"
        " VALUES (now(), 'a', 'reader', '127.0.0.1', 'list', '{}')"
    )
    for service in SERVICES:
        connection = connect(owner_url, service)
        with connection.cursor() as cursor:
            if service == "review":
                cursor.execute(insert)
                connection.commit()
                with pytest.raises(InsufficientPrivilege):
                    cursor.execute("SELECT who FROM access")
            else:
                with pytest.raises(InsufficientPrivilege):
                    cursor.execute(insert)
        connection.close()


@pytest.mark.covers("T16")
def test_a_service_cannot_make_a_role_or_take_another_one(owner_url: str) -> None:
    connection = connect(owner_url, "worker")
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in (
            "CREATE ROLE x",
            "SET ROLE osteoscreen_review",
            "CREATE TEMP TABLE x ()",
        ):
            with pytest.raises(InsufficientPrivilege):
                cursor.execute(statement)
    connection.close()


@pytest.mark.covers("T11")
def test_the_log_of_postgresql_has_no_value_of_a_statement(
    postgres: Postgres, owner: Engine, owner_url: str
) -> None:
    """psycopg2 writes values into the statement, as patient data would be."""
    assert roles.set_log_parameters(owner)
    with owner.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO study (study_instance_uid, result_per, revision, attempts,"
                " created_at, changed_at) VALUES ('PATIENT^ONE', 'series', 1, 1, now(), now())"
                " ON CONFLICT DO NOTHING"
            )
        )
    connection = connect(owner_url, "storescp")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 50")
        with pytest.raises(QueryCanceled):
            cursor.execute("SELECT %s, pg_sleep(60)", ("PATIENT^TWO",))
        cursor.execute("SET statement_timeout = 0")
        with pytest.raises(UniqueViolation):
            cursor.execute(
                "INSERT INTO study (study_instance_uid, result_per, revision, attempts,"
                " created_at, changed_at) VALUES (%s, 'series', 1, 1, now(), now())",
                ("PATIENT^ONE",),
            )
    connection.close()

    log = postgres.log_path.read_text()
    assert "canceling statement due to statement timeout" in log
    assert "PATIENT^" not in log


def test_the_command_reads_the_users_from_the_urls(owner_url: str, tmp_path: Path) -> None:
    worker, other = tmp_path / "worker", tmp_path / "owner"
    worker.write_text(service_url(owner_url, "worker") + "\n")
    other.write_text(owner_url)
    process = service_process(
        (*DB_ROLES, str(worker), str(other)), {"DATABASE_URL": owner_url}, tmp_path
    )

    with process:
        assert process.wait(60) == 0, process.log

    assert "osteoscreen_worker: rights are set" in process.log
    assert f"{other}: skipped, the user is postgres" in process.log
    connect(owner_url, "worker").close()


def test_an_upgrade_grants_the_rights_on_new_tables(owner: Engine) -> None:
    from db import migrate

    with owner.begin() as connection:
        connection.execute(text("REVOKE ALL ON pause FROM osteoscreen_worker"))

    migrate.upgrade(owner)

    with owner.connect() as connection:
        assert connection.scalar(
            text("SELECT has_table_privilege('osteoscreen_worker', 'pause', 'UPDATE')")
        )
