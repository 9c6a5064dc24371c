"""``python -m db upgrade | current | health``: schema and readiness commands."""

import sys
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import typer
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from common.settings.base import CommonSettings
from common.settings.load import load_settings
from db import migrate
from db.session import make_engine

HEALTH_SECONDS = 10

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def upgrade() -> None:
    """Migrate the database to the schema of this version."""
    engine = _engine()
    before = migrate.current(engine)
    migrate.upgrade(engine)
    after = migrate.current(engine)
    print(
        f"{after}: already up to date" if before == after else f"{before or 'empty'} → {after}"
    )


@app.command()
def current() -> None:
    """Print the revision of the schema; exit 1 if it is not that of this version."""
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
    """For developers: write a migration with the differences of models and database."""
    migrate.create_revision(_engine(), message)


@app.command()
def health() -> None:
    """Query the readiness of the service on this host; exit 1 if it is not ready."""
    port = load_settings(CommonSettings).metrics_port
    if port is None:
        print(
            "OSTEOSCREEN_METRICS_PORT is not set: the service has no health endpoint",
            file=sys.stderr,
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
    """Run the command; print one line, not a traceback, if the database is unavailable."""
    try:
        app()
    except OperationalError as error:
        print(f"database: {str(error.orig).strip().splitlines()[0]}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
