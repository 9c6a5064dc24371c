"""Fixtures shared by the integration tests."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from common.settings.load import load_settings
from common.settings.worker import WorkerSettings
from common.task_publisher import TaskPublisher
from db.session import Sessions
from deploy.demo.embedded import free_port
from storescp.stow.server import StowServer
from tests.support.certificates import Authority, Identity
from tests.support.intake import Intake, intake_settings
from tests.support.servers import listens, wait_for
from tests.support.storage_scp import OpenStorageScp, StorageScpFixture
from tests.support.stow_request import TOKEN
from tests.support.worker_contexts import with_settings
from tests.support.worker_fixture import (  # noqa: F401 - fixtures
    rejected,
    start_services,
    worker_fixture,
)
from worker.context import WorkerContext


@pytest.fixture
def context(
    database_url: str,
    redis_url: str,
    spool_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[WorkerContext]:
    """A worker context with a fresh database, an empty broker and an empty spool."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings(WorkerSettings).model_copy(
        update={"database_url": database_url, "broker_url": redis_url, "spool_dir": spool_dir}
    )
    context = WorkerContext(settings)
    yield context
    context.engine.dispose()


@pytest.fixture
def destined(context: WorkerContext, model_dir: Path) -> WorkerContext:
    """A worker context with the untrained model and one destination that nothing reaches."""
    (destination,) = context.settings.model_validate(
        {"destinations": [{"name": "pacs", "kind": "dicomweb", "url": "http://127.0.0.1:9"}]}
    ).destinations
    return with_settings(context, model_dir=model_dir, destinations=(destination,))


@pytest.fixture
def intake(
    sessions: Sessions, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Intake]:
    """Intake without a network and a broker, whose time the test sets."""
    monkeypatch.setattr("storescp.registration.scan.FRESH_SECONDS", 0.0)
    publisher = TaskPublisher.from_url(f"redis://127.0.0.1:{free_port()}/0")
    yield Intake(sessions, intake_settings(spool_dir), publisher)
    publisher.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certification authority that the services trust."""
    return Authority(tmp_path_factory.mktemp("authority") / "ours")


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certification authority that nothing trusts."""
    return Authority(tmp_path_factory.mktemp("authority") / "theirs")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Identity:
    """Certificate and key of our services."""
    return authority.issue("osteoscreen")


@pytest.fixture(params=["streaming", "pynetdicom"])
def open_storage_scp(
    request: pytest.FixtureRequest, spool_dir: Path
) -> Iterator[OpenStorageScp]:
    """Start a Storage SCP in a thread, with and without ``StreamingDUL``."""
    with ExitStack() as stack:

        def start(**values: object) -> StorageScpFixture:
            scp = StorageScpFixture(
                spool_dir, **{"streaming": request.param == "streaming", **values}
            )
            scp.start()
            stack.callback(scp.stop)
            return scp

        yield start


@pytest.fixture
def open_stow(spool_dir: Path) -> Iterator[OpenStorageScp]:
    """Start STOW-RS in a thread with these settings; the DIMSE port stays closed."""
    with ExitStack() as stack:

        def start(**values: object) -> StorageScpFixture:
            scp = StorageScpFixture(
                spool_dir, **{"stow_port": free_port(), "stow_token": TOKEN, **values}
            )
            server = StowServer(scp.settings, scp.service)
            server.start()
            stack.callback(server.stop)
            wait_for(lambda: listens(scp.settings.stow_port or 0), "STOW-RS")
            return scp

        yield start
