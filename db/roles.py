"""Database roles of the services: each has the rights that it needs, and no others.

The owner of the tables migrates them. A set-up without these roles, with one user for all
services, works as well. Rows of tables in ``APPEND`` are never changed: a service has no right
to, and only the owner could remove the trigger that refuses it to everyone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg2.extensions import encrypt_password  # type: ignore[import-untyped]
from sqlalchemy import Connection, Engine, inspect, make_url, text
from sqlalchemy.exc import ProgrammingError

from db.models import Base

READ, APPEND, CHANGE = "SELECT", "SELECT, INSERT", "SELECT, INSERT, UPDATE"
INSERT_ONLY = "SELECT (id), INSERT"  # an INSERT of SQLAlchemy returns the key
UPDATE = "SELECT, UPDATE"
VERSION_TABLE = "alembic_version"

RIGHTS: Mapping[str, Mapping[str, str]] = {
    "osteoscreen_storescp": {
        **dict.fromkeys(("study", "series", "instance", "held_instance"), CHANGE),
        **dict.fromkeys(("event", "study_event"), APPEND),
        **dict.fromkeys(("screening", "delivery"), UPDATE),
        "result_object": READ,
        "audit_message": INSERT_ONLY,
    },
    "osteoscreen_worker": {
        **dict.fromkeys(("study", "series", "held_instance"), UPDATE),
        **dict.fromkeys(("screening", "delivery", "pause", "audit_message"), CHANGE),
        **dict.fromkeys(("event", "study_event", "hip", "result_object"), APPEND),
        **dict.fromkeys(("shadow_hip", "model_release"), APPEND),
        **dict.fromkeys(("instance", "dxa_result"), READ),
    },
    "osteoscreen_review": {
        **dict.fromkeys(("study", "series", "delivery", "held_instance"), UPDATE),
        "pause": CHANGE,
        **dict.fromkeys(("event", "study_event", "feedback", "dxa_result"), APPEND),
        **dict.fromkeys(("screening", "hip", "result_object", "instance"), READ),
        **dict.fromkeys(("access", "audit_message"), INSERT_ONLY),
    },
}
"""Rights by role and table."""

LOG_PARAMETERS = {
    # Values of statements are patient data. psycopg2 writes them into the statement, so that
    # the log of a failed or cancelled statement would have them.
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    # Without DETAIL, which has the values of a row that violates a constraint.
    "log_error_verbosity": "terse",
}
"""Parameters of PostgreSQL that keep patient data out of its log."""


class NotAServiceRole(ValueError):
    """The user of a URL is not one of ``RIGHTS``."""


@dataclass(frozen=True, slots=True)
class Login:
    """Name and password of a role."""

    name: str
    password: str


def read_login(database_url: str) -> Login:
    """Return user and password of a URL; raises NotAServiceRole."""
    url = make_url(database_url)
    if url.username not in RIGHTS or not url.password:
        raise NotAServiceRole(
            f"the user is {url.username or 'missing'}, expected one of {', '.join(RIGHTS)}"
            " with a password"
        )
    return Login(str(url.username), str(url.password))


def create_roles(engine: Engine, logins: Iterable[Login]) -> None:
    """Create the roles of the services or set their passwords, and grant their rights.

    The user of ``engine`` must own the tables and have CREATEROLE.
    """
    with engine.begin() as connection:
        for login in logins:
            create_role(connection, login)
        # PostgreSQL up to 14 lets every user create tables, any version temporary ones.
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        database = _quote(connection, engine.url.database or "")
        connection.execute(text(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"))
        grant_rights(connection)


def grant_rights(connection: Connection) -> None:
    """Grant the rights of the roles that exist, and revoke any other on the tables."""
    existing = set(connection.scalars(text("SELECT rolname FROM pg_roles")))
    tables = set(inspect(connection).get_table_names())
    for role in existing & RIGHTS.keys():
        connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {role}"))
        for table in sorted(tables & {*Base.metadata.tables, VERSION_TABLE}):
            connection.execute(text(f"REVOKE ALL ON {_quote(connection, table)} FROM {role}"))
        for table, rights in {**RIGHTS[role], VERSION_TABLE: READ}.items():
            if table in tables:
                connection.execute(
                    text(f"GRANT {rights} ON {_quote(connection, table)} TO {role}")
                )


def set_log_parameters(engine: Engine) -> bool:
    """Keep patient data out of the log of PostgreSQL for this database.

    Returns False if the user may not: only a superuser may set these parameters.
    """
    try:
        with engine.begin() as connection:
            for statement in log_statements(engine):
                connection.execute(text(statement))
    except ProgrammingError:
        return False
    return True


def has_log_parameters(engine: Engine) -> bool:
    """Return whether ``LOG_PARAMETERS`` are in force for this database."""
    with engine.connect() as connection:
        return all(
            connection.scalar(text(f"SHOW {name}")) == value
            for name, value in LOG_PARAMETERS.items()
        )


def log_statements(engine: Engine) -> list[str]:
    """Return the statements that set ``LOG_PARAMETERS`` for this database."""
    quote = engine.dialect.identifier_preparer.quote_identifier
    database = quote(engine.url.database or "")
    return [
        f"ALTER DATABASE {database} SET {name} = '{value}'"
        for name, value in LOG_PARAMETERS.items()
    ]


def create_role(connection: Connection, login: Login, *, attributes: str = "") -> bool:
    """Create a role that may log in, or give it this password; return whether it is new.

    ``attributes`` : further ones, such as CREATEROLE.
    """
    name = _quote(connection, login.name)
    known = text("SELECT 1 FROM pg_roles WHERE rolname = :name")
    new = connection.scalar(known, {"name": login.name}) is None
    if new:
        connection.execute(text(f"CREATE ROLE {name}"))
    # The server gets a verifier, so that its log cannot contain the password.
    raw = connection.connection.driver_connection
    verifier = encrypt_password(login.password, login.name, raw, "scram-sha-256")
    # NOCREATEDB, the default of a new role, may only be stated by one with CREATEDB (since 16).
    connection.execute(
        text(f"ALTER ROLE {name} LOGIN {attributes} PASSWORD :verifier"),
        {"verifier": verifier},
    )
    return new


def _quote(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)
