"""Health endpoints over HTTP, with passing, failing and raising probes.

Not covered: the probes of the running services (tests/integration/test_health.py).
"""

import errno
import json
import os
import socket
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from common import health
from common.health import LoopProbe, Probe
from common.spool.layout import INCOMING
from common.spool.writer import SpoolWriter
from tests.support.servers import free_port


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def get_json(port: int, path: str) -> tuple[int, dict[str, Any]]:
    status, body = get(port, path)
    return status, json.loads(body)


def broken() -> str | None:
    raise ConnectionError("postgresql://user:secret@host")


def test_ready_runs_all_probes_and_live_only_the_process_itself() -> None:
    port = free_port()
    health.serve(
        port, [Probe("thread", lambda: None, live=True), Probe("database", lambda: "away")]
    )

    assert get_json(port, "/health/live") == (
        200,
        {"healthy": True, "checks": {"thread": "ok"}},
    )
    assert get_json(port, "/health/ready") == (
        503,
        {"healthy": False, "checks": {"thread": "ok", "database": "away"}},
    )


def test_a_probe_that_is_not_vital_is_only_reported() -> None:
    port = free_port()
    health.serve(port, [Probe("database", lambda: "away", vital=False)])

    status, answer = get_json(port, "/health/ready")

    assert (status, answer["checks"]) == (200, {"database": "away"})


def test_a_probe_that_raises_fails_without_the_message_of_the_error() -> None:
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


def test_a_loop_without_iterations_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    loop = LoopProbe("sweeper", pause_seconds=10)
    probe = loop.probe()

    clock[0] += health.STALE_SECONDS + 19
    assert probe.check() is None
    clock[0] += 2
    assert probe.check() == "no round for 321 s"
    loop.beat()
    assert probe.check() is None


def test_a_full_or_missing_spool_is_not_ready(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool")
    writer.prepare()

    assert health.spool_probe(writer).check() is None
    assert not list((tmp_path / "spool" / INCOMING).iterdir())
    assert "MB free" in str(health.spool_probe(writer, min_free_mb=2**40).check())

    file = tmp_path / "file"
    file.touch()
    assert health.spool_probe(SpoolWriter(file)).check() == os.strerror(errno.EEXIST)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_spool_is_not_ready(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool")
    writer.prepare()
    (tmp_path / "spool" / INCOMING).chmod(stat.S_IRUSR | stat.S_IXUSR)

    assert health.spool_probe(writer).check() == os.strerror(errno.EACCES)


@contextmanager
def flood(port: int, addresses: int, connections: int) -> Iterator[list[socket.socket]]:
    """Hold connections with half a request each, from loopback addresses."""
    with ExitStack() as stack:
        opened = []
        for number in range(connections):
            source = (f"127.0.1.{number % addresses + 1}", 0)
            one = socket.create_connection(("127.0.0.1", port), 10, source_address=source)
            opened.append(stack.enter_context(one))
            one.sendall(b"GET /metrics HTTP/1.1\r\nX-")
        yield opened


@pytest.mark.parametrize("addresses", [1, 8])
def test_liveness_is_answered_during_a_flood_whose_surplus_is_closed(addresses: int) -> None:
    port = free_port()
    health.serve(port, [Probe("thread", lambda: None, live=True)])

    with flood(port, addresses, 3 * health.MAX_CONNECTIONS) as opened:
        answers = [get_json(port, "/health/live")[0] for _ in range(5)]
        for one in opened[: 2 * health.MAX_CONNECTIONS]:
            one.settimeout(30)
            assert one.recv(1) == b""

    assert answers == [200] * 5


def test_a_client_that_sends_byte_by_byte_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REQUEST_SECONDS", 0.0)
    port = free_port()
    health.serve(port, [])

    with flood(port, 1, 1) as (dribbling,):
        dribbling.settimeout(30)  # each byte restarts the timeout of a single read
        assert dribbling.recv(1) == b""
