"""Commands of docs/deployment.md for backup and restore, run as printed.

Covered: backup and restore on a real PostgreSQL without loss. Not covered: commands that need
a container engine, systemd or a cluster (tests/integration/test_deployment.py).
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from db.history import series_history
from db.session import make_engine, make_sessions
from db.states import SeriesState
from deploy.demo.embedded import DATABASE, Postgres
from tests.support import record
from tests.support.servers import child_environment

pytestmark = [pytest.mark.servers, pytest.mark.slow]

PAGE = Path(__file__).parents[2] / "docs/deployment.md"
SPOOL = "/var/lib/osteoscreen/spool"


def commands(heading: str, program: str) -> str:
    """Return the shell block of a section that calls a program."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    (block,) = (block for block in blocks if program in block)
    return str(block)


def run(script: str, environment: dict[str, str], cwd: Path) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_backup_is_restored_after_loss_of_database_and_spool(
    own_postgres: Postgres, redis_url: str, model_dir: Path, tmp_path: Path
) -> None:
    spool_dir = tmp_path / "spool"
    report = spool_dir / record.objects()[0].path
    report.parent.mkdir(parents=True)
    report.write_bytes(b"report")
    engine = make_engine(own_postgres.url, application_name="tests")
    sessions = make_sessions(engine)
    series_id = record.register(sessions).series_id
    record.save(sessions, record.lease(sessions, series_id))
    before = record.moves(sessions, series_id)
    engine.dispose()
    settings = {
        "DATABASE_URL": own_postgres.url,
        "BROKER_URL": redis_url,
        "SPOOL_DIR": spool_dir,
        "MODEL_DIR": model_dir,
    }
    programs = f"{own_postgres.programs}:{Path(sys.executable).parent}"
    environment = child_environment(settings) | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "DATABASE": own_postgres.url.replace("+psycopg2", ""),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(own_postgres.port),
        "PGUSER": "postgres",
        "PGPASSWORD": own_postgres.password,
    }

    run(commands("Backup", "pg_dump").replace(SPOOL, str(spool_dir)), environment, tmp_path)
    own_postgres.execute(f'DROP DATABASE "{DATABASE}" WITH (FORCE)')
    shutil.rmtree(spool_dir)
    spool_dir.mkdir()
    run(commands("Restore", "pg_restore").replace(SPOOL, str(spool_dir)), environment, tmp_path)

    engine = make_engine(own_postgres.url, application_name="tests")
    sessions = make_sessions(engine)
    with sessions() as session:
        history = series_history(session, record.SERIES)
        assert history is not None
        assert history.series.state is SeriesState.DELIVERED
        assert len(history.hips) == 2
    assert record.moves(sessions, series_id) == before
    engine.dispose()
    assert report.read_bytes() == b"report"
