"""Shared parts of the operator commands: settings, database sessions, output and exit."""

import getpass
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from common.settings.worker import WorkerSettings
    from db.session import Session, Sessions

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def read_settings() -> "WorkerSettings":
    """Return the settings; exit 2 with a line that names an invalid one."""
    from common.settings.load import load_settings
    from common.settings.worker import WorkerSettings

    return load_settings(WorkerSettings)


def sessions() -> "Sessions":
    """Return sessions of the database; exit 1 if it has not the schema of this version."""
    from db.migrate import SchemaNotCurrent, require_current_schema
    from db.session import make_engine, make_sessions

    settings = read_settings()
    engine = make_engine(settings.database_url, application_name="osteoscreen operator")
    try:
        require_current_schema(engine)
    except SchemaNotCurrent as error:
        stop(str(error))
    return make_sessions(engine, audit=settings.audit_syslog is not None)


def require_service_user(settings: "WorkerSettings", command: str) -> None:
    """Exit 2 unless what this process writes into the spool is readable for the services."""
    from common.spool.ownership import service_user

    spool = settings.spool_dir
    try:
        owner = service_user(spool)
    except OSError as error:
        stop(
            f"spool {spool.absolute()}: {error.strerror}; {command} writes into the spool of"
            " the services: run it with their settings (`osteoscreenctl`), or correct"
            " OSTEOSCREEN_SPOOL_DIR",
            code=2,
        )
    if owner is not None:
        stop(
            f"{command} as root would write files into {spool} that {owner}, the user of the"
            f" services, cannot read: run `osteoscreenctl {command} …` or"
            f" `sudo -u {owner} python -m worker {command} …`",
            code=2,
        )


def operator() -> str:
    """Return the actor of a command, as recorded in the database."""
    return f"operator {getpass.getuser()}"


def require_destination(session: "Session", name: str) -> None:
    """Stop if neither the settings nor the database know the destination."""
    from db.queue_status import list_destinations

    known = {destination.name for destination in read_settings().destinations}
    known |= set(list_destinations(session))
    if name not in known:
        stop(f"no destination {name} (known: {', '.join(sorted(known)) or 'none'})")


def stop_unknown(uid: str) -> NoReturn:
    """Exit: there is no series or study with this UID."""
    stop(f"no series or study {uid} on record (see `python -m worker status`)")


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def stop(reason: str, code: int = 1) -> NoReturn:
    """Exit with one line to stderr."""
    print(reason, file=sys.stderr)
    raise SystemExit(code)
