"""Covered: a paused destination gets nothing; what delivery, sweep and commands make of it."""

import getpass
import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from db import pause
from db.claim import due_deliveries
from db.models import Pause
from tests.integration.test_outbox_delivery import deliveries, delivery_due, destination
from tests.integration.workshops import with_settings
from tests.servers import child_environment, running_dcmtk_storescp
from worker.delivery import deliver_objects
from worker.workshop import Workshop, utc_now

pytestmark = pytest.mark.servers


def worker(
    settings: dict[str, object], folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        env=child_environment(settings),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_paused_destination_gets_nothing_until_it_is_resumed(
    workshop: Workshop, tmp_path: Path
) -> None:
    screening_id = delivery_due(workshop)
    with running_dcmtk_storescp(tmp_path / "received") as port:
        sender = with_settings(workshop, **destination(port))
        with workshop.sessions.begin() as session:
            assert pause.pause(session, "pacs", actor="operator a", now=utc_now())
            assert pause.pause(session, "other", actor="operator a", now=utc_now())

        deliver_objects(sender, screening_id, "pacs")  # a nudge from before the pause
        with workshop.sessions.begin() as session:
            swept = due_deliveries(session, now=utc_now(), limit=10)
        while_paused = deliveries(workshop), list((tmp_path / "received").iterdir())

        with workshop.sessions.begin() as session:
            assert pause.resume(session, "pacs", actor="operator b", now=utc_now())
        deliver_objects(sender, screening_id, "pacs")

    assert swept == []
    assert while_paused == ([("due", None, 0)] * 2, [])
    assert [state for state, _, _ in deliveries(workshop)] == ["sent"] * 2


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket")
def test_what_backs_off_is_due_at_once_when_resumed(workshop: Workshop) -> None:
    screening_id = delivery_due(workshop)
    deliver_objects(with_settings(workshop, **destination(1)), screening_id, "pacs")
    with workshop.sessions.begin() as session:
        pause.pause(session, "pacs", actor="a", now=utc_now())

    with workshop.sessions.begin() as session:
        pause.resume(session, "pacs", actor="b", now=utc_now())
        due = due_deliveries(session, now=utc_now(), limit=10)

    assert [one.destination for one in due] == ["pacs"]


def test_twice_is_once_and_every_pause_stays_on_record(workshop: Workshop) -> None:
    with workshop.sessions.begin() as session:
        assert not pause.resume(session, "pacs", actor="a", now=utc_now())
        for actor in ("a", "b"):
            assert pause.pause(session, "pacs", actor=actor, now=utc_now())
            assert not pause.pause(session, "pacs", actor="c", now=utc_now())
            assert pause.resume(session, "pacs", actor=actor, now=utc_now())

    with workshop.sessions.begin() as session:
        rows = session.scalars(select(Pause).order_by(Pause.id)).all()
        assert pause.paused(session) == []
    assert [(row.paused_by, row.resumed_by) for row in rows] == [("a", "a"), ("b", "b")]


def test_the_operators_commands(child_settings: dict[str, object], tmp_path: Path) -> None:
    child_settings |= {
        "DESTINATIONS": [
            {"name": "pacs", "kind": "dimse", "ae_title": "A", "host": "h", "port": 1}
        ]
    }

    wrong = worker(child_settings, tmp_path, "pause", "pcas")
    paused = worker(child_settings, tmp_path, "pause", "pacs")
    table = worker(child_settings, tmp_path, "status")
    status = json.loads(worker(child_settings, tmp_path, "status", "--json").stdout)
    resumed = worker(child_settings, tmp_path, "resume", "pacs")

    assert wrong.returncode == 1
    assert "no destination pcas (known: pacs)" in wrong.stderr
    assert paused.returncode == 0, paused.stderr
    assert "pacs is paused since" in table.stdout
    assert status["paused"]["pacs"]["by"] == f"operator {getpass.getuser()}"
    assert "resumed" in resumed.stdout
    again = json.loads(worker(child_settings, tmp_path, "status", "--json").stdout)
    assert again["paused"] == {}
