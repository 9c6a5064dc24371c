"""Bring the database to the schema of this version, and refuse to run on another one."""

from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

MIGRATIONS = Path(__file__).parent / "migrations"


class SchemaNotCurrent(RuntimeError):
    """The database has another schema than this version; the message says what to do."""

    def __init__(self, found: str | None, wanted: str) -> None:
        super().__init__(found, wanted)

    def __str__(self) -> str:
        found, wanted = self.args
        if found is None or is_known(found):
            return (
                f"database schema is {found or 'empty'}, this version needs {wanted}:"
                " run `python -m db upgrade`"
            )
        return (
            f"database schema {found} is newer than this version of osteoscreen"
            f" (which knows {wanted}): install the version that wrote it"
        )


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrate up to ``revision``, in one transaction; safe when two processes start at once."""
    with engine.begin() as connection:
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Migrate down to ``revision`` (``base`` drops everything); for tests and roll-backs."""
    with engine.begin() as connection:
        command.downgrade(_config(connection), revision)


def create_revision(engine: Engine, message: str) -> None:
    """Write a new migration with the differences of models and database, to be edited."""
    revision = datetime.now(UTC).strftime("%Y%m%d_%H%M")
    with engine.begin() as connection:
        command.revision(_config(connection), message, autogenerate=True, rev_id=revision)


def current(engine: Engine) -> str | None:
    """The revision of the database, None when it is empty."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The revision that this version needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise RuntimeError(f"no migrations in {MIGRATIONS}")
    return head


def is_known(revision: str) -> bool:
    """Whether this version has that migration."""
    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return any(script.revision == revision for script in scripts)


def require_current_schema(engine: Engine) -> None:
    """Raise SchemaNotCurrent unless the database is at this version's schema."""
    found, wanted = current(engine), newest()
    if found != wanted:
        raise SchemaNotCurrent(found, wanted)


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")  # rev: YYYYMMDD_HHMM
    return config
