"""Fixtures shared by the integration tests."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from common.settings.load import load_settings
from common.settings.worker import WorkerSettings
from deploy.demo.embedded import free_port
from storescp.stow.server import StowServer
from tests.support.servers import listens, wait_for
from tests.support.storage_scp import OpenStorageScp, StorageScpFixture
from tests.support.stow_request import TOKEN
from tests.support.worker_fixture import rejected, worker_fixture  # noqa: F401 - fixtures
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
