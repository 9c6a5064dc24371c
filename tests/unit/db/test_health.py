"""Covered: what the health endpoints say of good, bad and broken parts, over HTTP.

Not covered: the probes of the running services (tests/integration/test_health.py).
"""

import errno
import json
import os
import stat
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from db import health
from db.health import Probe, Rounds
from db.spool import INCOMING, SpoolWriter
from tests.servers import free_port


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def ask(port: int, path: str) -> tuple[int, dict[str, Any]]:
    status, body = get(port, path)
    return status, json.loads(body)


def broken() -> str | None:
    raise ConnectionError("postgresql://user:secret@host")


def test_ready_asks_all_and_live_only_the_process_itself() -> None:
    port = free_port()
    health.serve(
        port, [Probe("thread", lambda: None, live=True), Probe("database", lambda: "away")]
    )

    assert ask(port, "/health/live") == (200, {"healthy": True, "checks": {"thread": "ok"}})
    assert ask(port, "/health/ready") == (
        503,
        {"healthy": False, "checks": {"thread": "ok", "database": "away"}},
    )


def test_what_is_not_vital_is_told_and_forgiven() -> None:
    port = free_port()
    health.serve(port, [Probe("database", lambda: "away", vital=False)])

    status, answer = ask(port, "/health/ready")

    assert (status, answer["checks"]) == (200, {"database": "away"})


def test_a_probe_that_raises_is_a_no_without_the_text_of_the_error() -> None:
    port = free_port()
    health.serve(port, [Probe("database", broken)])

    status, body = get(port, "/health/ready")

    assert status == 503
    assert json.loads(body)["checks"] == {"database": "ConnectionError"}
    assert "secret" not in body


def test_metrics_are_on_the_same_port() -> None:
    port = free_port()
    health.serve(port, [])

    status, text = get(port, "/metrics")

    assert status == 200
    assert "osteoscreen_open_associations" in text


def test_nothing_is_served_without_a_port() -> None:
    health.serve(None, [Probe("never", broken)])


def test_a_thread_that_comes_round_no_more_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    rounds = Rounds("sweeper", pause_seconds=10)
    probe = rounds.probe()

    clock[0] += health.STALE_SECONDS + 19
    assert probe.ask() is None
    clock[0] += 2
    assert probe.ask() == "no round for 321 s"
    rounds.count()
    assert probe.ask() is None


def test_spool_without_room_or_without_a_place_is_not_ready(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool")
    writer.prepare()

    assert health.spool_probe(writer).ask() is None
    assert not list((tmp_path / "spool" / INCOMING).iterdir())
    assert "MB free" in str(health.spool_probe(writer, min_free_mb=2**40).ask())

    file = tmp_path / "file"
    file.touch()
    assert health.spool_probe(SpoolWriter(file)).ask() == os.strerror(errno.EEXIST)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_spool_that_may_not_be_written_is_not_ready(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool")
    writer.prepare()
    (tmp_path / "spool" / INCOMING).chmod(stat.S_IRUSR | stat.S_IXUSR)

    assert health.spool_probe(writer).ask() == os.strerror(errno.EACCES)
