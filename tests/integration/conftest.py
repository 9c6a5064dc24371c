"""Fixtures of the integration tests."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from db.settings import load_settings
from tests.integration.door import Door, OpenDoor
from tests.integration.ward import rejected, ward  # noqa: F401 - fixtures
from worker.settings import WorkerSettings
from worker.workshop import Workshop


@pytest.fixture
def workshop(
    database_url: str,
    redis_url: str,
    spool_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Workshop]:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(WorkerSettings).model_copy(
        update={"database_url": database_url, "broker_url": redis_url, "spool_dir": spool_dir}
    )
    opened = Workshop(settings)
    yield opened
    opened.engine.dispose()


@pytest.fixture(params=["fast path", "ordinary path"])
def open_door(request: pytest.FixtureRequest, spool_dir: Path) -> Iterator[OpenDoor]:
    """Start a Storage SCP in a thread, by either path, with these settings."""
    with ExitStack() as stack:

        def start(**values: object) -> Door:
            door = Door(spool_dir, **{"fast": request.param == "fast path", **values})
            door.start()
            stack.callback(door.stop)
            return door

        yield start
