"""``python -m db upgrade | current``: the schema of the database."""

import sys

import typer
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from db import migrate
from db.session import make_engine
from db.settings import CommonSettings, load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def upgrade() -> None:
    """Migrate to the schema of this version."""
    engine = _engine()
    before = migrate.current(engine)
    migrate.upgrade(engine)
    after = migrate.current(engine)
    print(f"{after}: nothing to do" if before == after else f"{before or 'empty'} → {after}")


@app.command()
def current() -> None:
    """Print the schema of the database; exit 1 when it is not this version's."""
    engine = _engine()
    found = migrate.current(engine)
    print(found or "empty")
    try:
        migrate.require_current_schema(engine)
    except migrate.SchemaNotCurrent as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None


@app.command()
def revision(message: str) -> None:
    """For developers: write a migration for what the models have and the database lacks."""
    migrate.create_revision(_engine(), message)


def _engine() -> Engine:
    return make_engine(load_settings(CommonSettings).database_url, application_name="db")


def main() -> None:
    """Run the command; a database that does not answer is one line, not a trace."""
    try:
        app()
    except OperationalError as error:
        print(f"database: {str(error.orig).strip().splitlines()[0]}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
