"""Fixtures shared by the integration tests."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from common.settings.load import load_settings
from common.settings.worker import WorkerSettings
from tests.support.storage_scp import OpenStorageScp, StorageScpFixture
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
