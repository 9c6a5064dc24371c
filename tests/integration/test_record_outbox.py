"""Outbox: results saved with their deliveries, claims, and outcomes of deliveries."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from db.deliveries import Claim, DueDelivery, due_deliveries
from db.models import Delivery, HipResult, ResultObject, Screening
from db.outbox import (
    mark_confirmed,
    mark_refused,
    mark_unreachable,
)
from db.retry import retry_series
from db.states import DeliveryState, SeriesState
from tests.support.record import (
    SERIES,
    Sessions,
    after,
    changed,
    claim,
    completed,
    lease,
    moves,
    read_series,
    register,
    save,
    screened,
    send,
)

pytestmark = pytest.mark.servers


def due(sessions: Sessions, at: float = 0) -> list[DueDelivery]:
    with sessions() as session:
        return due_deliveries(session, now=after(at), limit=100)


def states(sessions: Sessions) -> list[DeliveryState]:
    with sessions() as session:
        return list(session.scalars(select(Delivery.state).order_by(Delivery.id)))


def test_results_objects_and_deliveries_are_saved_together(sessions: Sessions) -> None:
    series_id, screening_id = screened(sessions, "pacs", "archive")

    with sessions() as session:
        run = session.get_one(Screening, screening_id)
        hips = session.scalars(select(HipResult).order_by(HipResult.side)).all()
        objects = session.scalars(select(ResultObject).order_by(ResultObject.id)).all()
    assert (run.grade, run.model_name, run.timings_ms) == (
        "osteopenia",
        "compact",
        {"load": 12.5},
    )
    assert (run.warnings, run.result) == (["no demographics"], {"grade": "osteopenia"})
    assert [(hip.side, hip.state, hip.reason_code, hip.neck_hu) for hip in hips] == [
        ("L", "not_assessable", "METAL", None),
        ("R", "graded", None, 110.0),
    ]
    assert [one.role for one in objects] == ["sr", "sc"]
    assert states(sessions) == [DeliveryState.DUE] * 4
    assert read_series(sessions, series_id).state is SeriesState.SCREENED
    assert due(sessions) == [
        DueDelivery(screening_id, "archive"),
        DueDelivery(screening_id, "pacs"),
    ] or due(sessions) == [
        DueDelivery(screening_id, "pacs"),
        DueDelivery(screening_id, "archive"),
    ]


def test_without_destinations_the_series_is_delivered_at_once(sessions: Sessions) -> None:
    series_id, _ = screened(sessions)

    assert read_series(sessions, series_id).state is SeriesState.DELIVERED
    assert due(sessions) == []


def test_the_last_object_sent_makes_the_series_delivered(sessions: Sessions) -> None:
    series_id, screening_id = screened(sessions, "pacs", "archive")

    send(sessions, claim(sessions, screening_id, "pacs"))
    assert read_series(sessions, series_id).state is SeriesState.SCREENED
    send(sessions, claim(sessions, screening_id, "archive"))

    assert read_series(sessions, series_id).state is SeriesState.DELIVERED
    assert [move[0] for move in moves(sessions, series_id)].count("sent") == 4


def test_two_workers_never_hold_the_same_object(sessions: Sessions) -> None:
    _, screening_id = screened(sessions, "pacs")
    start, taken = threading.Barrier(6), []

    def take() -> None:
        start.wait()
        taken.extend(claim(sessions, screening_id))

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(one.role for one in taken) == ["sc", "sr"]
    assert {one.attempt for one in taken} == {1}
    assert due(sessions, 59) == []


def test_two_destinations_that_finish_at_once_deliver_the_series(sessions: Sessions) -> None:
    for number in range(8):
        series = completed(series_instance_uid=f"1.4.{number}")
        series_id = register(sessions, series).series_id
        held = lease(sessions, series_id)
        save(sessions, held, "pacs", "archive")
        claims = [claim(sessions, held.screening_id, name) for name in ("pacs", "archive")]
        start = threading.Barrier(2)

        def finish(mine: tuple[Claim, ...], start: threading.Barrier = start) -> None:
            start.wait()
            send(sessions, mine)

        threads = [threading.Thread(target=finish, args=(mine,)) for mine in claims]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert read_series(sessions, series_id).state is SeriesState.DELIVERED


def test_a_claim_whose_worker_died_is_due_again(sessions: Sessions) -> None:
    _, screening_id = screened(sessions, "pacs")
    first = claim(sessions, screening_id)

    second = claim(sessions, screening_id, at=61)

    assert [one.attempt for one in second] == [2, 2]
    with sessions.begin() as session:
        late = mark_refused(session, first[0], status=None, error="x", now=after(62))
    assert not late
    send(sessions, second, at=63)


def test_an_unreachable_destination_is_tried_again_later(sessions: Sessions) -> None:
    series_id, screening_id = screened(sessions, "pacs")
    for one in claim(sessions, screening_id):
        with sessions.begin() as session:
            mark_unreachable(
                session,
                one,
                status=None,
                error="connection refused",
                next_attempt_at=after(1) + timedelta(seconds=30),
            )

    assert due(sessions, 30) == []
    assert due(sessions, 31) == [DueDelivery(screening_id, "pacs")]
    send(sessions, claim(sessions, screening_id, at=31), at=32)
    assert read_series(sessions, series_id).state is SeriesState.DELIVERED


def test_a_refused_object_waits_for_an_operator(sessions: Sessions) -> None:
    series_id, screening_id = screened(sessions, "pacs")
    sr, sc = claim(sessions, screening_id)
    send(sessions, (sc,))
    with sessions.begin() as session:
        mark_refused(session, sr, status="0x0122", error="SOP class", now=after(1))

    assert read_series(sessions, series_id).state is SeriesState.SCREENED
    assert due(sessions, 10_000) == []
    with sessions.begin() as session:
        retried = retry_series(session, SERIES, actor="operator", now=after(50))
    assert retried is not None
    assert (retried.screening, retried.deliveries) == (False, 1)
    again = claim(sessions, screening_id, at=50)
    assert [(one.role, one.attempt) for one in again] == [("sr", 1)]
    send(sessions, again, at=51)
    assert read_series(sessions, series_id).state is SeriesState.DELIVERED


def test_sent_becomes_confirmed_and_only_then(sessions: Sessions) -> None:
    _, screening_id = screened(sessions, "pacs")
    sr, _ = claim(sessions, screening_id)
    with sessions.begin() as session:
        assert not mark_confirmed(session, sr, confirmed_by="query", now=after(1))
    send(sessions, (sr,))

    with sessions.begin() as session:
        assert mark_confirmed(session, sr, confirmed_by="query", now=after(2))

    assert states(sessions) == [DeliveryState.CONFIRMED, DeliveryState.DUE]


def test_the_result_of_a_previous_revision_does_not_deliver_the_newer_one(
    sessions: Sessions,
) -> None:
    series_id, first = screened(sessions, "pacs")
    held_back = claim(sessions, first)
    register(sessions, changed(), now=after(5))
    held = lease(sessions, series_id, now=after(6))
    save(sessions, held, "pacs", now=after(7))

    send(sessions, held_back, at=8)
    assert read_series(sessions, series_id).state is SeriesState.SCREENED
    send(sessions, claim(sessions, held.screening_id, at=9), at=9)

    assert read_series(sessions, series_id).state is SeriesState.DELIVERED


def test_a_long_backlog_is_due_in_whole_tasks_the_longest_waiting_first(
    sessions: Sessions,
) -> None:
    waiting = []
    for number in range(7):
        key = {"series_instance_uid": f"1.9.{number}"}
        series_id = register(sessions, completed(**key)).series_id
        held = lease(sessions, series_id, now=after(number))
        save(sessions, held, "pacs", now=after(number))
        waiting.append(DueDelivery(held.screening_id, "pacs"))

    with sessions() as session:
        due = due_deliveries(session, now=after(60), limit=5)

    assert due == waiting[:5]
