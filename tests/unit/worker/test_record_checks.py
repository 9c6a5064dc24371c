"""Checks of ``doctor`` about what the record has set aside."""

from datetime import UTC, datetime, timedelta

import pytest

from db.server_state import ServerState
from worker.diagnostics.checks import _database_state
from worker.diagnostics.record_checks import (
    held_diagnostic,
    queue_diagnostic,
    withheld_diagnostic,
)

NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)


def test_a_long_wait_points_to_the_workers() -> None:
    assert queue_diagnostic(None, NOW).detail == "nothing waits"
    assert queue_diagnostic(NOW - timedelta(minutes=30), NOW).ok
    waits = queue_diagnostic(NOW - timedelta(minutes=31), NOW)
    assert (waits.ok, waits.detail) == (
        False,
        "the longest waiting series was complete 31 min ago",
    )
    assert "start a worker" in waits.remedy


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (ServerState(True, timedelta()), "db: it accepts no writes"),
        (
            ServerState(False, timedelta(hours=1)),
            "db: its clock is 3600 s ahead of that of this",
        ),
        (
            ServerState(False, timedelta(seconds=-61)),
            "db: its clock is 61 s behind that of this",
        ),
        (ServerState(False, timedelta(seconds=-60)), None),
    ],
)
def test_a_database_without_writes_or_with_another_time_fails(
    state: ServerState, problem: str | None
) -> None:
    found = _database_state("db", state)

    assert found.ok is (problem is None)
    assert found.detail.startswith(problem or "db, schema ")


def test_held_content_fails_until_it_is_decided() -> None:
    assert held_diagnostic(0).ok
    held = held_diagnostic(3)
    assert (held.ok, held.detail) == (False, "images held, which another sender changed: 3")
    assert "python -m worker accept UID" in (held.remedy or "")


def test_withheld_results_are_counted_and_never_fail() -> None:
    assert withheld_diagnostic({}).detail == "none"
    withheld = withheld_diagnostic({"SILENT": 4, "REPEATED": 1})
    assert withheld.ok
    assert withheld.detail == "not sent by the screening policy: 1 REPEATED, 4 SILENT"
