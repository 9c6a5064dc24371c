"""Fixtures that start the real servers; what they are stands in ``tests/servers.py``."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from deploy.embedded import Postgres, Redis, free_port
from deploy.processes import CELERY, STORESCP, UPGRADE, Process
from tests.series import simulate_small
from tests.servers import (
    Orthanc,
    child_environment,
    running_orthanc,
    wait_for,
    wait_until_listening,
)

TEMPLATE = "osteoscreen_template"
_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_caller() -> Iterator[None]:
    """No OSTEOSCREEN_* variable of the caller reaches a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("OSTEOSCREEN_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for all tests; do not stop it (``own_postgres`` may be stopped)."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    """An empty database without tables."""
    return postgres.url


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of a database at the newest revision, to be cloned."""
    postgres.execute(f"CREATE DATABASE {TEMPLATE}")
    upgrade(postgres.url_of(TEMPLATE), tmp_path_factory.mktemp("upgrade"))
    return TEMPLATE


@contextmanager
def fresh_database(postgres: Postgres, template: str) -> Iterator[str]:
    """URL of a clone of the template, dropped at the end."""
    name = f"test_{next(_numbers)}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield postgres.url_of(name)
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """A fresh database at the newest revision."""
    with fresh_database(postgres, migrated_template) as url:
        yield url


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[Postgres]:
    """A PostgreSQL at the newest revision that a test may stop and start."""
    with Postgres() as server:
        upgrade(server.url, tmp_path)
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """One Redis for all tests."""
    with Redis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """The broker, empty."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    """An empty spool."""
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def _orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def orthanc(_orthanc: Orthanc) -> Orthanc:
    """A real PACS with DICOMweb, empty."""
    _orthanc.clear()
    return _orthanc


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model package that accepts every crop: quick, and grades are not asked."""
    from tests.model_factory import make_untrained_package  # TensorFlow

    return make_untrained_package(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def coronal_series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """A small simulated coronal series with both hips."""
    return simulate_small(tmp_path_factory.mktemp("coronal") / "series", "coronal")


@pytest.fixture(scope="session")
def axial_series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """A small simulated axial series with both hips."""
    return simulate_small(tmp_path_factory.mktemp("axial") / "series", "axial", seed=12)


@pytest.fixture
def child_settings(database_url: str, redis_url: str, spool_dir: Path) -> dict[str, object]:
    """Settings of our processes, by name without prefix; a test adds its own."""
    return {
        "DATABASE_URL": database_url,
        "BROKER_URL": redis_url,
        "SPOOL_DIR": spool_dir,
        "HOST": "127.0.0.1",
        "PORT": free_port(),
        "QUIET_SECONDS": 1,
        "MIN_FREE_MB": 1,
        "SWEEP_SECONDS": 1,
        "DESTINATIONS": [],
    }


StartProcess = Callable[[dict[str, object]], Process]


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    """Processes entered here are stopped after the test, the youngest first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start_storescp(processes: ExitStack, tmp_path: Path) -> StartProcess:
    """Start ``python -m storescp`` with these settings and wait until it listens."""
    return lambda settings: run_storescp(processes, settings, tmp_path)


@pytest.fixture
def start_celery(processes: ExitStack, tmp_path: Path) -> StartProcess:
    """Start ``celery -A worker worker`` with these settings and wait until it is ready."""
    return lambda settings: run_celery(processes, settings, tmp_path)


def run_storescp(stack: ExitStack, settings: dict[str, object], folder: Path) -> Process:
    """The Storage SCP, listening, until ``stack`` is closed."""
    process = stack.enter_context(_process(STORESCP, settings, folder))
    wait_until_listening(process, int(str(settings["PORT"])))
    return process


def run_celery(stack: ExitStack, settings: dict[str, object], folder: Path) -> Process:
    """The worker, ready, until ``stack`` is closed."""
    process = stack.enter_context(_process(CELERY, settings, folder))
    wait_until_ready(process)
    return process


def wait_until_ready(worker: Process, times: int = 1) -> None:
    """Wait until Celery has said for the so-manyth time that it is ready."""

    def ready() -> bool:
        assert worker.running, f"the worker ended:\n{worker.log}"
        return worker.log.count(" ready.") >= times

    wait_for(ready, "Celery", seconds=300)


def upgrade(database_url: str, folder: Path) -> None:
    """``python -m db upgrade``."""
    process = _process(UPGRADE, {"DATABASE_URL": database_url}, folder)
    with process:
        assert process.wait(60) == 0, process.log


def _process(command: tuple[str, ...], settings: dict[str, object], folder: Path) -> Process:
    # Not in the repository's folder: a .env of the developer's would be read there.
    cwd = folder / "cwd"
    cwd.mkdir(parents=True, exist_ok=True)
    name = f"{command[2]}-{next(_numbers)}.log"
    return Process(
        command, environment=child_environment(settings), log_path=folder / name, cwd=cwd
    )
