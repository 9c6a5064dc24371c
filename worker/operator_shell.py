"""What the operator's commands share: settings, database, and how they end."""

import getpass
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from worker.settings import WorkerSettings

AsJson = Annotated[bool, typer.Option("--json", help="For scripts: JSON instead of tables.")]


def read_settings() -> "WorkerSettings":
    """The settings, or exit 2 with the line that names the wrong one."""
    from db.settings import load_settings
    from worker.settings import WorkerSettings

    return load_settings(WorkerSettings)


def sessions() -> "sessionmaker[Session]":
    """Sessions of a database that has this version's tables; else exit 1."""
    from db.migrate import SchemaNotCurrent, require_current_schema
    from db.session import make_engine, make_sessions

    engine = make_engine(read_settings().database_url, application_name="osteoscreen operator")
    try:
        require_current_schema(engine)
    except SchemaNotCurrent as error:
        stop(str(error))
    return make_sessions(engine)


def operator() -> str:
    """Who acts, for the record."""
    return f"operator {getpass.getuser()}"


def print_json(value: Any) -> None:
    """For scripts."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def stop(reason: str, code: int = 1) -> NoReturn:
    """End with one line to stderr."""
    print(reason, file=sys.stderr)
    raise SystemExit(code)
