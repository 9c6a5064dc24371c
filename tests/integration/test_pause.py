"""Covered: a destination that an operator or a worker has paused, as delivery, sweep and
operator commands treat it."""

import getpass
import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from db import pauses
from db.deliveries import due_deliveries
from db.models import Pause
from db.retry import retry_destination
from db.states import DeliveryState
from tests.support.deliveries import deliveries, make_due_delivery, with_pacs
from tests.support.odd_pacs import Manner, OddPacs
from tests.support.servers import running_dcmtk_storescp
from tests.support.worker_cli import run_worker
from tests.support.worker_contexts import history
from worker.context import WorkerContext, utc_now
from worker.delivery.deliver_screening import deliver_screening

pytestmark = pytest.mark.servers


def test_a_paused_destination_gets_nothing_until_it_is_resumed(
    context: WorkerContext, tmp_path: Path
) -> None:
    screening_id = make_due_delivery(context)
    with running_dcmtk_storescp(tmp_path / "received") as port:
        sender = with_pacs(context, port)
        with context.sessions.begin() as session:
            assert pauses.pause(session, "pacs", actor="operator a", now=utc_now())
            assert pauses.pause(session, "other", actor="operator a", now=utc_now())

        deliver_screening(sender, screening_id, "pacs")  # a task sent before the pause
        with context.sessions.begin() as session:
            swept = due_deliveries(session, now=utc_now(), limit=10)
        while_paused = deliveries(context), list((tmp_path / "received").iterdir())

        with context.sessions.begin() as session:
            assert pauses.resume(session, "pacs", actor="operator b", now=utc_now())
        deliver_screening(sender, screening_id, "pacs")

    assert swept == []
    assert while_paused == ([("due", None, 0)] * 2, [])
    assert [state for state, _, _ in deliveries(context)] == ["sent"] * 2


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket")
def test_a_delivery_that_waits_for_a_retry_is_due_at_once_when_resumed(
    context: WorkerContext,
) -> None:
    screening_id = make_due_delivery(context)
    deliver_screening(with_pacs(context, 1), screening_id, "pacs")
    with context.sessions.begin() as session:
        pauses.pause(session, "pacs", actor="a", now=utc_now())

    with context.sessions.begin() as session:
        pauses.resume(session, "pacs", actor="b", now=utc_now())
        due = due_deliveries(session, now=utc_now(), limit=10)

    assert [one.destination for one in due] == ["pacs"]


def test_a_second_pause_changes_nothing_and_every_pause_stays_on_record(
    context: WorkerContext,
) -> None:
    with context.sessions.begin() as session:
        assert not pauses.resume(session, "pacs", actor="a", now=utc_now())
        for actor in ("a", "b"):
            assert pauses.pause(session, "pacs", actor=actor, now=utc_now())
            assert not pauses.pause(session, "pacs", actor="c", now=utc_now())
            assert pauses.resume(session, "pacs", actor=actor, now=utc_now())

    with context.sessions.begin() as session:
        rows = session.scalars(select(Pause).order_by(Pause.id)).all()
        assert pauses.paused(session) == []
    assert [(row.paused_by, row.resumed_by) for row in rows] == [("a", "a"), ("b", "b")]


def test_the_commands_pause_and_resume(
    child_settings: dict[str, object], tmp_path: Path
) -> None:
    child_settings |= {
        "DESTINATIONS": [
            {"name": "pacs", "kind": "dimse", "ae_title": "A", "host": "h", "port": 1}
        ]
    }

    wrong = run_worker("pause", "pcas", cwd=tmp_path, settings=child_settings)
    paused = run_worker("pause", "pacs", cwd=tmp_path, settings=child_settings)
    table = run_worker("status", cwd=tmp_path, settings=child_settings)
    status = json.loads(
        run_worker("status", "--json", cwd=tmp_path, settings=child_settings).stdout
    )
    resumed = run_worker("resume", "pacs", cwd=tmp_path, settings=child_settings)

    assert wrong.returncode == 1
    assert "no destination pcas (known: pacs)" in wrong.stderr
    assert paused.returncode == 0, paused.stderr
    assert "pacs is paused since" in table.stdout
    assert status["paused"]["pacs"]["by"] == f"operator {getpass.getuser()}"
    assert "resumed" in resumed.stdout
    again = json.loads(
        run_worker("status", "--json", cwd=tmp_path, settings=child_settings).stdout
    )
    assert again["paused"] == {}


def rejecting(result: int, source: int, reason: int) -> Manner:
    return Manner(associate=lambda conversation: conversation.reject(result, source, reason))


@pytest.mark.parametrize("rejection", [(1, 1, 3), (1, 3, 1), (1, 3, 2), (2, 3, 2), (2, 1, 1)])
def test_a_rejection_holds_back_all_deliveries_until_the_next_attempt(
    context: WorkerContext, rejection: tuple[int, int, int]
) -> None:
    first, second = (make_due_delivery(context, number=number) for number in (1, 2))

    with OddPacs(rejecting(*rejection)) as pacs:
        sender = with_pacs(context, pacs.port)
        deliver_screening(sender, first, "pacs")
        deliver_screening(sender, second, "pacs")
        while_paused = pacs.associations
        with context.sessions.begin() as session:
            (pause,) = pauses.paused(session)
            later = pause.retry_at + timedelta(minutes=1)
            due = due_deliveries(session, now=later, limit=10)
        assert (pause.paused_by, pause.failures) == (context.name, 1)
        assert "A-ASSOCIATE-RJ {}/{}/{}".format(*rejection) in pause.cause
        with context.sessions.begin() as session:
            count = retry_destination(session, "pacs", actor="operator", now=utc_now())
        pacs.manner = Manner()
        for screening_id in (first, second):
            deliver_screening(sender, screening_id, "pacs")

    assert while_paused == 1
    assert {one.screening_id for one in due} == {first, second}
    assert count == 4
    for number in (1, 2):
        states = {one.delivery.state for one in history(context, number).deliveries}
        assert states == {DeliveryState.CONFIRMED}
    with context.sessions.begin() as session:
        assert pauses.paused(session) == []


def test_failures_in_a_row_are_counted_and_a_success_resumes(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.delivery.deliver_screening.RETRY_BASE_SECONDS", 0.0)
    screening_id = make_due_delivery(context)
    with OddPacs(rejecting(2, 3, 1)) as pacs:
        sender = with_pacs(context, pacs.port)
        for _ in range(3):
            deliver_screening(sender, screening_id, "pacs")
        with context.sessions.begin() as session:
            failures = [pause.failures for pause in pauses.paused(session)]
        pacs.manner = Manner()
        deliver_screening(sender, screening_id, "pacs")

    with context.sessions.begin() as session:
        (pause,) = session.scalars(select(Pause)).all()
    assert failures == [3]
    assert pause.resumed_by == context.name
    assert {state for state, _, _ in deliveries(context)} == {DeliveryState.CONFIRMED}


def test_a_pause_of_an_operator_outlasts_retry_and_replaces_that_of_a_worker(
    context: WorkerContext,
) -> None:
    screening_id = make_due_delivery(context)
    with OddPacs(rejecting(1, 1, 3)) as pacs:
        deliver_screening(with_pacs(context, pacs.port), screening_id, "pacs")
    with context.sessions.begin() as session:
        assert pauses.pause(session, "pacs", actor="operator", now=utc_now())
        retry_destination(session, "pacs", actor="operator", now=utc_now())
        due = due_deliveries(session, now=utc_now() + timedelta(hours=1), limit=10)
        (pause,) = pauses.paused(session)

    assert due == []
    assert (pause.paused_by, pause.cause) == ("operator", None)


def test_what_a_destination_has_refused_is_due_after_one_command(
    context: WorkerContext, child_settings: dict[str, object], tmp_path: Path
) -> None:
    for number in (1, 2):
        screening_id = make_due_delivery(context, number=number)
        with OddPacs(Manner(store=lambda conv, request: conv.respond(request, 0xA900))) as pacs:
            deliver_screening(with_pacs(context, pacs.port), screening_id, "pacs")
    refused = {state for state, _, _ in deliveries(context)}

    both = run_worker(
        "retry", "1.2", "--destination", "pacs", settings=child_settings, cwd=tmp_path
    )
    wrong = run_worker("retry", "--destination", "pcas", settings=child_settings, cwd=tmp_path)
    retried = run_worker(
        "retry", "--destination", "pacs", settings=child_settings, cwd=tmp_path
    )

    assert refused == {DeliveryState.REFUSED}
    assert (both.returncode, wrong.returncode) == (1, 1)
    assert "4 deliveries to pacs are due again" in retried.stdout
    assert {state for state, _, _ in deliveries(context)} == {DeliveryState.DUE}


def test_status_names_cause_and_command_of_a_pause_by_a_worker(
    context: WorkerContext, child_settings: dict[str, object], tmp_path: Path
) -> None:
    screening_id = make_due_delivery(context)
    with OddPacs(rejecting(1, 1, 3)) as pacs:
        deliver_screening(with_pacs(context, pacs.port), screening_id, "pacs")

    shown = run_worker("status", cwd=tmp_path, settings=child_settings).stdout

    assert "our AE title is not known there" in " ".join(shown.split())
    assert "retry --destination pacs" in " ".join(shown.split())
