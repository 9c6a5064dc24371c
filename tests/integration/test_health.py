"""The health endpoints of the running services, with what they depend on taken away.

Covered: SCP and worker; database, broker and spool. Not covered: a thread that hangs
(tests/unit/db/test_health.py).
"""

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded import Postgres, Redis, free_port
from tests.conftest import StartProcess
from tests.servers import child_environment, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.slow]

Settings = dict[str, object]


def ask(port: int, path: str = "/health/ready") -> tuple[int, dict[str, str]]:
    """Status, and what each check says."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
            status, body = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    answer: dict[str, Any] = json.loads(body)
    return status, answer["checks"]


def as_container_asks(settings: Settings) -> int:
    """Exit status of what the images name as their health check."""
    command = [sys.executable, "-m", "db", "health"]
    asked = subprocess.run(
        command, env=child_environment(settings), capture_output=True, timeout=60
    )
    return asked.returncode


def test_the_door_is_ready_without_a_database_and_not_without_a_spool(
    own_postgres: Postgres, child_settings: Settings, start_storescp: StartProcess
) -> None:
    port = free_port()
    settings = child_settings | {"DATABASE_URL": own_postgres.url, "METRICS_PORT": port}
    start_storescp(settings)
    wait_for(lambda: ask(port)[0] == 200, "the door to be ready")
    assert set(ask(port)[1].values()) == {"ok"}
    assert set(ask(port, "/health/live")[1]) == {"registrar", "acceptor"}
    assert as_container_asks(settings) == 0

    own_postgres.stop()
    status, checks = ask(port)
    assert (status, checks["database"]) == (200, "OperationalError")

    spool_dir = Path(str(child_settings["SPOOL_DIR"]))
    shutil.rmtree(spool_dir)
    spool_dir.touch()
    status, checks = ask(port)
    assert (status, checks["spool"] != "ok") == (503, True)
    assert ask(port, "/health/live")[0] == 200
    assert as_container_asks(settings) == 1


def test_a_worker_is_ready_with_database_and_broker_only(
    own_postgres: Postgres,
    child_settings: Settings,
    model_dir: Path,
    start_celery: StartProcess,
) -> None:
    port = free_port()
    with Redis() as broker:
        start_celery(
            child_settings
            | {
                "DATABASE_URL": own_postgres.url,
                "BROKER_URL": broker.url,
                "MODEL_DIR": model_dir,
                "METRICS_PORT": port,
            }
        )
        assert ask(port) == (
            200,
            dict.fromkeys(("sweeper", "database", "spool", "model", "broker"), "ok"),
        )

        own_postgres.stop()
        status, checks = ask(port)
        assert (status, checks["database"]) == (503, "OperationalError")
        own_postgres.start()
        wait_for(lambda: ask(port)[0] == 200, "the database to be back")

    status, checks = ask(port)
    assert status == 503
    assert checks["broker"] != "ok"
    assert ask(port, "/health/live") == (200, {"sweeper": "ok"})
