"""``python -m db upgrade | current | health``: schema and readiness commands."""

import sys
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import typer
from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError, OperationalError

from common.settings.base import CommonSettings
from common.settings.load import load_settings
from db import migrate, provision, roles
from db.session import make_engine

HEALTH_SECONDS = 10

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def create(server_url: str = provision.LOCAL_SERVER) -> None:
    """Create user and database of OSTEOSCREEN_DATABASE_URL, as superuser of SERVER_URL.

    What exists is kept; the user gets the password of the URL.
    """
    owner_url = load_settings(CommonSettings).database_url
    for name in provision.create_database(server_url, owner_url):
        print(f"created: {name}")


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


@app.command(name="roles")
def create_roles(url_files: list[Path]) -> None:
    """Create the roles of the services, and grant each the rights that it needs.

    URL_FILES contain the database URLs of the services with their users and passwords. A file
    with another user is skipped: one user for all services works without roles.
    """
    logins = []
    for path in url_files:
        try:
            logins.append(roles.read_login(path.read_text().strip()))
        except OSError as error:
            print(f"{path}: {error.strerror or type(error).__name__}", file=sys.stderr)
            raise SystemExit(2) from None
        except (roles.NotAServiceRole, ArgumentError) as error:
            reason = error if isinstance(error, roles.NotAServiceRole) else "not a URL"
            print(f"{path}: skipped, {reason}", file=sys.stderr)
    engine = _engine()
    roles.create_roles(engine, logins)
    for login in logins:
        print(f"{login.name}: rights are set")
    if not roles.set_log_parameters(engine):
        print(
            "PostgreSQL may log patient data: its superuser must run\n"
            + ";\n".join(roles.log_statements(engine)),
            file=sys.stderr,
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
    settings = load_settings(CommonSettings)
    port = settings.health_port or settings.metrics_port
    if port is None:
        print(
            "neither OSTEOSCREEN_HEALTH_PORT nor OSTEOSCREEN_METRICS_PORT is set: the service"
            " has no health endpoint",
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
