"""Health endpoints of the running services, with dependencies stopped.

Covered: Storage SCP and worker; database, broker and spool. Not covered: a thread that hangs
(tests/unit/common/test_health.py).
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

from deploy.demo.embedded import Postgres, Valkey, free_port
from tests.support.servers import child_environment, wait_for
from tests.support.services import StartProcess

pytestmark = [pytest.mark.servers, pytest.mark.slow]

Settings = dict[str, object]


def get_health(port: int, path: str = "/health/ready") -> tuple[int, dict[str, str]]:
    """Return the status and the result of each check."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
            status, body = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    answer: dict[str, Any] = json.loads(body)
    return status, answer["checks"]


def run_health_check(settings: Settings) -> int:
    """Return the exit status of the HEALTHCHECK command of the images."""
    command = [sys.executable, "-m", "db", "health"]
    done = subprocess.run(
        command, env=child_environment(settings), capture_output=True, timeout=60
    )
    return done.returncode


def test_the_storage_scp_is_ready_without_a_database_and_not_without_a_spool(
    own_postgres: Postgres, child_settings: Settings, start_storescp: StartProcess
) -> None:
    port, metrics_port = free_port(), free_port()
    settings = child_settings | {
        "DATABASE_URL": own_postgres.url,
        "HEALTH_PORT": port,
        "METRICS_PORT": metrics_port,
    }
    start_storescp(settings)
    wait_for(lambda: get_health(port)[0] == 200, "the scp to be ready")
    assert set(get_health(port)[1].values()) == {"ok"}
    assert set(get_health(port, "/health/live")[1]) == {"registrar", "acceptor"}
    assert run_health_check(settings) == 0
    assert get_health(metrics_port)[0] == 200
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30)

    own_postgres.stop()
    status, checks = get_health(port)
    assert (status, checks["database"]) == (200, "OperationalError")

    spool_dir = Path(str(child_settings["SPOOL_DIR"]))
    shutil.rmtree(spool_dir)
    spool_dir.touch()
    status, checks = get_health(port)
    assert (status, checks["spool"] != "ok") == (503, True)
    assert get_health(port, "/health/live")[0] == 200
    assert run_health_check(settings) == 1


def test_a_worker_is_ready_with_database_and_broker_only(
    own_postgres: Postgres,
    child_settings: Settings,
    model_dir: Path,
    start_celery: StartProcess,
) -> None:
    port = free_port()
    with Valkey() as broker:
        start_celery(
            child_settings
            | {
                "DATABASE_URL": own_postgres.url,
                "BROKER_URL": broker.url,
                "MODEL_DIR": model_dir,
                "METRICS_PORT": port,
            }
        )
        assert get_health(port) == (
            200,
            dict.fromkeys(("sweeper", "database", "spool", "model", "broker"), "ok"),
        )

        own_postgres.stop()
        status, checks = get_health(port)
        assert (status, checks["database"]) == (503, "OperationalError")
        own_postgres.start()
        wait_for(lambda: get_health(port)[0] == 200, "the database to be back")

    status, checks = get_health(port)
    assert status == 503
    assert checks["broker"] != "ok"
    assert get_health(port, "/health/live") == (200, {"sweeper": "ok"})
