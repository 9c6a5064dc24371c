"""Covered: ``backup`` and ``restore`` onto an empty PostgreSQL and an empty spool."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db.session import make_engine, make_sessions
from deploy.demo.embedded import Postgres, free_port
from tests.support.record import Sessions, claim, moves, objects, screened, send
from tests.support.worker_cli import run_worker
from worker.cli.backup_files import settings_lines

pytestmark = pytest.mark.servers

Settings = dict[str, object]


@pytest.fixture
def empty_postgres(tmp_path: Path) -> Iterator[Postgres]:
    """Another PostgreSQL, with a database without tables."""
    with Postgres() as server:
        yield server


def tables(url: str) -> dict[str, list[str]]:
    """Return the rows of all tables as text."""
    engine = make_engine(url, application_name="tests")
    with engine.connect() as connection:
        names = connection.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).all()
        rows = {
            name: sorted(
                map(str, connection.execute(text(f'SELECT * FROM "{name}"')))  # noqa: S608
            )
            for name in names
        }
    engine.dispose()
    return rows


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.covers("H16", "R21")
def test_a_backup_is_restored_onto_an_empty_database_and_spool(
    sessions: Sessions,
    database_url: str,
    spool_dir: Path,
    empty_postgres: Postgres,
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", f"{postgres.programs}:{os.environ['PATH']}")
    series_id, run = screened(sessions, "pacs")
    send(sessions, claim(sessions, run))
    kept = [*(one.path for one in objects()), "models/ab/model.json", "held/1/2/cd.dcm"]
    for name in (*kept, "1.2.3/1.2.3.4/1.dcm", "incoming/x.part"):
        (spool_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (spool_dir / name).write_bytes(name.encode())
    old: Settings = {
        "DATABASE_URL": database_url, "SPOOL_DIR": spool_dir, "AE_TITLE": "HIP",
        "BROKER_URL": "redis://:hidden@127.0.0.1/0",
    }  # fmt: skip
    (tmp_path / "new").mkdir()
    new: Settings = {"DATABASE_URL": empty_postgres.url, "SPOOL_DIR": tmp_path / "new"}

    made = run_worker("backup", tmp_path, cwd=tmp_path, settings=old)
    assert (made.returncode, made.stderr) == (0, "")
    (folder,) = tmp_path.glob("osteoscreen-*Z")
    restored = run_worker("restore", folder, cwd=tmp_path, settings=new)
    again = run_worker("restore", folder, cwd=tmp_path, settings=new)
    damaged = folder / "spool.tar"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    broken = run_worker("restore", folder, cwd=tmp_path, settings=new)

    assert (restored.returncode, restored.stderr) == (0, "")
    assert "4 files of the spool" in restored.stdout
    assert tables(empty_postgres.url) == tables(database_url)
    assert files_below(tmp_path / "new") == {name: name.encode() for name in kept}
    engine = make_engine(empty_postgres.url, application_name="tests")
    assert moves(make_sessions(engine), series_id) == moves(sessions, series_id)
    engine.dispose()
    assert (again.returncode, broken.returncode) == (2, 2)
    assert "is not empty: results, models, held; nothing was changed" in again.stderr
    assert f"{damaged} was altered or damaged" in broken.stderr
    every_file = b"".join(files_below(folder).values())
    assert b"hidden" not in every_file
    assert b'OSTEOSCREEN_AE_TITLE="HIP"' in every_file
    assert {path.stat().st_mode & 0o77 for path in (folder, *folder.iterdir())} == {0}


def test_a_backup_that_fails_leaves_nothing(tmp_path: Path, spool_dir: Path) -> None:
    settings: Settings = {
        "DATABASE_URL": f"postgresql+psycopg2://me:hidden@127.0.0.1:{free_port()}/none",
        "SPOOL_DIR": spool_dir,
    }

    ended = run_worker("backup", tmp_path, cwd=tmp_path, settings=settings)

    assert ended.returncode == 1
    assert "Connection refused" in ended.stderr
    assert "hidden" not in ended.stderr
    assert list(tmp_path.glob("osteoscreen-*")) == []


@pytest.mark.covers("T12")
def test_secrets_are_not_in_the_settings() -> None:
    lines = settings_lines(
        {
            "OSTEOSCREEN_DESTINATIONS": '[{"token": "hidden"}]',
            "OSTEOSCREEN_STOW_TOKEN": "hidden",
            "OSTEOSCREEN_REVIEW_TOKENS_FILE": "/run/x",
            "OSTEOSCREEN_SERIES_RULES": json.dumps([{"exclude": {"kernel": "B\\d"}}]),
            "PATH": "/bin",
        }
    )

    assert lines.splitlines()[1:] == [
        "# OSTEOSCREEN_DESTINATIONS: not in the backup",
        "# OSTEOSCREEN_REVIEW_TOKENS_FILE: not in the backup",
        'OSTEOSCREEN_SERIES_RULES="[{\\"exclude\\": {\\"kernel\\": \\"B\\\\\\\\d\\"}}]"',
        "# OSTEOSCREEN_STOW_TOKEN: not in the backup",
    ]
