"""Embedded servers: start and stop, access control, clean-up.

Not covered: other systems than Linux.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from deploy.demo.embedded import Postgres, Valkey
from tests.support.servers import ROOT, child_environment, listens

pytestmark = pytest.mark.servers


def test_postgres_keeps_its_data_over_stop_and_start() -> None:
    with Postgres() as server:
        engine = create_engine(server.url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE kept AS SELECT 42 AS answer"))

        server.stop()
        with pytest.raises(OperationalError):
            engine.connect()
        server.start()

        with engine.connect() as connection:
            assert connection.scalar(text("SELECT answer FROM kept")) == 42


def test_clients_without_the_password_are_refused() -> None:
    with Postgres() as postgres, Valkey() as broker:
        wrong_url = postgres.url.replace(postgres.password, "guess")

        with pytest.raises(OperationalError, match="password"):
            create_engine(wrong_url, poolclass=NullPool).connect()
        with (
            redis.Redis(port=broker.port) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


def test_folders_and_ports_are_released() -> None:
    with Postgres() as postgres, Valkey() as broker:
        folders = [postgres.log_path.parent, broker.log_path.parent]
        ports = [postgres.port, broker.port]
        assert all(listens(port) for port in ports)

    assert not any(folder.exists() for folder in folders)
    assert not any(listens(port) for port in ports)


def test_a_start_that_fails_shows_the_log_and_cleans_up() -> None:
    with Valkey() as first:
        second = Valkey()
        second.port = first.port
        folder = second.log_path.parent

        with pytest.raises(RuntimeError, match=r"did not start[\s\S]*in use"):
            second.__enter__()

        assert not folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_can_run_them(tmp_path: Path) -> None:
    program = tmp_path / "ordinary.py"
    program.write_text(
        "from deploy.demo.embedded import Postgres, Valkey\n"
        "import os; assert os.geteuid() != 0\n"
        "with Postgres(), Valkey(): print('both served')\n"
    )
    python = _python_for_all_users()
    paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]

    done = subprocess.run(
        [python, "-c", program.read_text()],
        user="nobody",
        extra_groups=(),
        env=child_environment() | {"PYTHONPATH": ":".join(paths), "HOME": "/nonexistent"},
        cwd="/tmp",  # noqa: S108
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout == "both served\n", done.stderr


def _python_for_all_users() -> str:
    """Return an interpreter of this version that another user may run."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    check = f"import os; os.listdir({str(ROOT)!r})"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            subprocess.run([python, "-c", check], user="nobody", extra_groups=(), check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    pytest.skip("the environment is in a folder that only root can open")
