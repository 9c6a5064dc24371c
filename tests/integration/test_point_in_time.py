"""The recipe of docs/deployment.md for a restore to a point in time, on a real PostgreSQL."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psycopg2
import pytest

from deploy.demo.embedded import DATABASE, Postgres
from tests.support.servers import wait_for

pytestmark = [pytest.mark.servers, pytest.mark.covers("R21")]
PAGE = Path(__file__).parents[2] / "docs/deployment.md"
NAMES = "SELECT name FROM moment ORDER BY name"


def recipe(backups: Path) -> tuple[dict[str, str], str]:
    """Return the settings and the command of the page, with another folder for the backups."""
    paragraph = PAGE.read_text().partition("**To a point in time.**")[2].partition("\n\n")[0]
    code = [one.replace("/backup", str(backups)) for one in re.findall("`([^`]+)`", paragraph)]
    settings = [match.groups() for one in code if (match := re.fullmatch(r"(\w+) = (.+)", one))]
    (command,) = (one for one in code if one.startswith("pg_basebackup"))
    return dict(settings), command


def ask(postgres: Postgres, statement: str) -> list[str]:
    """Return the first column of the answer to a statement, as text."""
    url = postgres.url_of(DATABASE).replace("+psycopg2", "")
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return [str(row[0]) for row in cursor.fetchall()] if cursor.description else []
    finally:
        connection.close()


def own(folder: Path, like: os.stat_result) -> None:
    """Give a folder to the user of PostgreSQL."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, like.st_uid, like.st_gid)


def configure(data: Path, settings: dict[str, str], names: Sequence[str]) -> None:
    with (data / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = {settings[name]}\n" for name in names)


def back_up(postgres: Postgres, command: str, backups: Path) -> Path:
    """Take a base backup by the command of the page; return its archive."""
    server = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port)}
    login = {"PGUSER": "postgres", "PGPASSWORD": postgres.password}
    path = {"PATH": f"{postgres.programs}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-euc", command], env=server | login | path, check=True, timeout=120)
    (archive,) = backups.glob("base-*/base.tar")
    return archive


def test_database_is_restored_to_a_moment_by_the_recipe() -> None:
    with Postgres() as postgres:
        data = Path(ask(postgres, "SHOW data_directory")[0])
        owner, backups = data.stat(), data.parent / "backup"
        (backups / "wal").mkdir(parents=True)
        own(backups, owner)
        settings, command = recipe(backups)
        postgres.stop()
        configure(data, settings, ("wal_level", "archive_mode", "archive_command"))
        postgres.start()
        ask(postgres, "CREATE TABLE moment (name text)")
        archive = back_up(postgres, command, backups)
        ask(postgres, "INSERT INTO moment VALUES ('kept')")
        (moment,) = ask(postgres, "SELECT clock_timestamp()")
        ask(postgres, "INSERT INTO moment VALUES ('lost')")
        (last,) = ask(postgres, "SELECT pg_walfile_name(pg_switch_wal())")
        wait_for((backups / "wal" / last).exists, "the write-ahead log in the archive")

        postgres.stop()
        shutil.rmtree(data)
        data.mkdir(mode=0o700)
        subprocess.run(["tar", "--extract", f"--file={archive}", "-C", data], check=True)
        settings["recovery_target_time"] = f"'{moment}'"
        configure(data, settings, ("restore_command", "recovery_target_time"))
        (data / "recovery.signal").touch()
        own(data, owner)
        postgres.start()

        wait_for(lambda: ask(postgres, NAMES) == ["kept"], "the end of the replay")
        ask(postgres, "SELECT pg_wal_replay_resume()")
        wait_for(lambda: ask(postgres, "SELECT pg_is_in_recovery()") == ["False"], "the end")
        ask(postgres, "INSERT INTO moment VALUES ('new')")
        assert ask(postgres, NAMES) == ["kept", "new"]
