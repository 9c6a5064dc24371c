"""Migrate the database, and check that its schema is that of this version."""

from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from common.health import Probe
from db.roles import grant_rights

MIGRATIONS = Path(__file__).parent / "migrations"


class SchemaNotCurrent(RuntimeError):
    """The schema of the database is not that of this version; the message names the remedy."""

    def __init__(self, found: str | None, required: str) -> None:
        super().__init__(found, required)

    def __str__(self) -> str:
        found, required = self.args
        if found is None or is_known(found):
            return (
                f"database schema is {found or 'empty'}, this version needs {required}:"
                " run `python -m db upgrade`"
            )
        return (
            f"database schema {found} is newer than this version of osteoscreen"
            f" (which knows {required}): install the version that wrote it"
        )


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrate up to ``revision`` in one transaction; safe with concurrent processes.

    Roles of the services, where they exist, get their rights on new tables.
    """
    with engine.begin() as connection:
        command.upgrade(_config(connection), revision)
        grant_rights(connection)


def downgrade(engine: Engine, revision: str) -> None:
    """Migrate down to ``revision`` (``base`` drops everything)."""
    with engine.begin() as connection:
        command.downgrade(_config(connection), revision)


def create_revision(engine: Engine, message: str) -> None:
    """Write a new migration with the differences of models and database, to be edited."""
    revision = datetime.now(UTC).strftime("%Y%m%d_%H%M")
    with engine.begin() as connection:
        command.revision(_config(connection), message, autogenerate=True, rev_id=revision)


def current(engine: Engine) -> str | None:
    """Return the revision of the database, None if it is empty."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """Return the revision that this version needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise RuntimeError(f"no migrations in {MIGRATIONS}")
    return head


def require_current_schema(engine: Engine) -> None:
    """Raise SchemaNotCurrent unless the database has the schema of this version."""
    found, required = current(engine), newest()
    if found != required:
        raise SchemaNotCurrent(found, required)


def database_probe(engine: Engine, *, vital: bool) -> Probe:
    """Return a probe that PostgreSQL responds and has the schema of this version."""

    def check() -> str | None:
        try:
            require_current_schema(engine)
        except SchemaNotCurrent as error:
            return str(error)
        return None

    return Probe("database", check, vital=vital)


def is_known(revision: str) -> bool:
    """Return whether a revision is that of this version or of an earlier one."""
    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return any(script.revision == revision for script in scripts)


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")  # rev: YYYYMMDD_HHMM
    return config
