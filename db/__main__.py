"""``python -m db upgrade | current | health``: the schema, and whether a service is ready."""

import sys
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import typer
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from db import migrate
from db.session import make_engine
from db.settings import CommonSettings, load_settings

HEALTH_SECONDS = 10

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


@app.command()
def health() -> None:
    """Ask the service that runs on this host whether it is ready; exit 1 when it is not."""
    port = load_settings(CommonSettings).metrics_port
    if port is None:
        print(
            "OSTEOSCREEN_METRICS_PORT is not set: the service answers nobody", file=sys.stderr
        )
        raise SystemExit(2)
    try:
        with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=HEALTH_SECONDS) as answer:
            print(answer.read().decode())
    except HTTPError as error:
        print(error.read().decode(), file=sys.stderr)
        raise SystemExit(1) from None
    except (URLError, OSError) as error:
        print(f"no answer on port {port}: {error}", file=sys.stderr)
        raise SystemExit(1) from None


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
