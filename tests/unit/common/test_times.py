"""Times for readers, and the setting of their time zone."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from common.settings.load import load_settings
from common.settings.worker import WorkerSettings
from common.times import local_time

NOON = datetime(2026, 7, 1, 12, 0, 0, 900_000, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _time_zone_of_the_host() -> Iterator[None]:
    before = os.environ.get("TZ")
    yield
    os.environ.pop("TZ", None)
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def test_times_have_the_offset_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEOSCREEN_TIME_ZONE", "Europe/Berlin")

    load_settings(WorkerSettings)

    assert local_time(NOON) == "2026-07-01T14:00:00+02:00"
    assert datetime.fromisoformat(local_time(NOON)) == NOON.replace(microsecond=0)


@pytest.mark.parametrize("name", ["Europe/Berlim", "/etc/passwd", "../UTC"])
def test_an_unknown_time_zone_stops_the_start(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_TIME_ZONE", name)

    with pytest.raises(SystemExit) as stopped:
        load_settings(WorkerSettings)

    assert stopped.value.code == 2
    assert "OSTEOSCREEN_TIME_ZONE: " in capsys.readouterr().err
