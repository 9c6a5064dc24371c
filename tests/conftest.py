"""Fixtures: real servers (``tests/support/servers.py``), databases, series and processes."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from db.session import Sessions, make_engine, make_sessions
from deploy.demo.embedded import Postgres, Valkey, free_port
from tests.support.databases import fresh_database, upgrade
from tests.support.series import simulate_small
from tests.support.servers import Orthanc, running_orthanc
from tests.support.services import StartProcess, run_celery, run_storescp
from tests.support.shared_files import SHARED

TEMPLATE = "osteoscreen_template"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run modules with slow tests first, so that none of them is left alone at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_caller() -> Iterator[None]:
    """Remove the OSTEOSCREEN_* variables of the caller."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("OSTEOSCREEN_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _shared_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The processes of a run share the folders of ``tests.support.shared_files``."""
    base = tmp_path_factory.getbasetemp()
    of_run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SHARED, str(of_run / "shared"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Children hear SIGINT, also where a shell runs the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """PostgreSQL for all tests; must not be stopped (see ``own_postgres``)."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    """URL of a database without tables."""
    return postgres.url


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of a template database at the newest revision."""
    postgres.execute(f"CREATE DATABASE {TEMPLATE}")
    upgrade(postgres.url_of(TEMPLATE), tmp_path_factory.mktemp("upgrade"))
    return TEMPLATE


@pytest.fixture
def database_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """URL of an empty database at the newest revision."""
    with fresh_database(postgres, migrated_template) as url:
        yield url


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    """Session factory of an empty database at the newest revision."""
    engine = make_engine(database_url, application_name="tests")
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[Postgres]:
    """PostgreSQL at the newest revision that a test may stop and start."""
    with Postgres() as server:
        upgrade(server.url, tmp_path)
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Valkey]:
    """Redis for all tests."""
    with Valkey() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: Valkey) -> str:
    """URL of the empty broker."""
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
    """Empty Orthanc with DICOMweb."""
    _orthanc.clear()
    return _orthanc


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained model package that accepts every crop, for tests that ignore grades."""
    from tests.support.model_factory import make_untrained_package  # TensorFlow

    return make_untrained_package(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def coronal_series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Small simulated coronal series with both hips."""
    return simulate_small(tmp_path_factory.mktemp("coronal") / "series", "coronal")


@pytest.fixture(scope="session")
def axial_series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Small simulated axial series with both hips."""
    return simulate_small(tmp_path_factory.mktemp("axial") / "series", "axial", seed=12)


@pytest.fixture
def child_settings(database_url: str, redis_url: str, spool_dir: Path) -> dict[str, object]:
    """Settings of child processes, by name without prefix."""
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


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    """Stack of processes that are stopped after the test, in reverse order."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start_storescp(processes: ExitStack, tmp_path: Path) -> StartProcess:
    """Function that starts ``python -m storescp`` and waits until it listens."""
    return lambda settings: run_storescp(processes, settings, tmp_path)


@pytest.fixture
def start_celery(processes: ExitStack, tmp_path: Path) -> StartProcess:
    """Function that starts ``celery -A worker worker`` and waits until it is ready."""
    return lambda settings: run_celery(processes, settings, tmp_path)
