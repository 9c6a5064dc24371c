"""Fixtures of the integration tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from db.settings import load_settings
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
