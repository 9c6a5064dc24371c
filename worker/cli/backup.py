"""Commands ``backup`` and ``restore``: database, results, models and settings."""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

import typer

from worker.cli.shell import read_settings, require_service_user, stop

if TYPE_CHECKING:
    from db.session import Engine

FOLDER_MODE = 0o700


def backup(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder in which the backup gets its own.")
    ],
) -> None:
    """Back up database, results, promoted models and settings, while the services run.

    Needs the owner of the tables (OSTEOSCREEN_DATABASE_URL), and pg_dump of the version of the
    server or newer.
    """
    from db.migrate import current
    from worker.cli import backup_files as files

    settings, now = read_settings(), datetime.now(UTC)
    target = folder / f"osteoscreen-{now:%Y%m%dT%H%M%SZ}"
    part = target.with_name(target.name + ".part")
    os.umask(0o077)  # patient data, also for readers of the group
    try:
        part.mkdir(mode=FOLDER_MODE)
        schema = current(_engine(settings.database_url)) or "empty"
        # First the database: every file that a row names was written before the row.
        dump = f"--file={part / files.DUMP}"
        _postgres("pg_dump", settings.database_url, "--format=custom", dump)
        count = files.archive_spool(settings.spool_dir, part / files.SPOOL)
        (part / files.SETTINGS).write_text(files.settings_lines(os.environ))
        files.write_manifest(part, now.isoformat(timespec="seconds"), schema)
        os.sync()
        part.rename(target)
    except OSError as error:
        stop(f"{error.filename or folder}: {error.strerror}; no backup was made")
    finally:
        shutil.rmtree(part, ignore_errors=True)
    print(f"{target}: database (schema {schema}), {count} files of the spool, settings")


def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of one backup.")],
) -> None:
    """Restore a backup into an empty database and an empty spool, while no service runs."""
    from db import migrate
    from worker.cli import backup_files as files

    settings = read_settings()
    require_service_user(settings, "restore")
    try:
        manifest = files.read_manifest(folder)
        _require_empty(settings.spool_dir, files.SPOOL_FOLDERS)
        engine = _engine(settings.database_url)
        if migrate.current(engine) is not None:
            stop("the database is not empty: restore into a new one (createdb)", code=2)
        if not migrate.is_known(manifest.schema):
            stop(f"{manifest.schema}: schema of a newer version; install that version", code=2)
        os.umask(0o027)
        # Files first: no row may name a file that is not there yet.
        count = files.extract_spool(folder / files.SPOOL, settings.spool_dir)
        _postgres(
            "pg_restore", settings.database_url, "--exit-on-error", "--single-transaction",
            "--no-owner", "--no-acl", str(folder / files.DUMP),
        )  # fmt: skip
        migrate.upgrade(engine)
    except files.BackupError as error:
        stop(str(error), code=2)
    except OSError as error:
        stop(f"{error.filename or folder}: {error.strerror}")
    print(
        f"restored the backup of {manifest.created_at}: {count} files of the spool, database"
        f" schema {migrate.newest()}\nnext: create the users of the services (`python -m db"
        f" roles`), compare the settings with {folder / files.SETTINGS}, run `doctor`"
    )


def _engine(url: str) -> "Engine":
    from db.session import make_engine

    return make_engine(url, application_name="osteoscreen backup")


def _require_empty(spool_dir: Path, names: tuple[str, ...]) -> None:
    used = [name for name in names if any((spool_dir / name).glob("*"))]
    if used:
        stop(
            f"the spool {spool_dir} is not empty: {', '.join(used)}; nothing was changed",
            code=2,
        )


def _postgres(program: str, url: str, *arguments: str) -> None:
    """Run a program of PostgreSQL; the password is in its environment, not in its arguments."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    netloc = f"{name}@{host}" if name else host
    address = parts._replace(scheme="postgresql", netloc=netloc).geturl()
    environment = {**os.environ, **({"PGPASSWORD": unquote(password)} if password else {})}
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program
            [program, f"--dbname={address}", *arguments],
            env=environment, capture_output=True, text=True,
        )  # fmt: skip
    except FileNotFoundError:
        stop(f"{program} is not installed: install the client programs of PostgreSQL")
    if done.returncode != 0:
        stop(f"{program}: {done.stderr.strip()}")
