"""Covered: results and deliveries in one transaction, claims, and the questions of status."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from db import overview, standing
from db.claim import Claim, DueDelivery, claim_deliveries, due_deliveries
from db.models import Delivery, Hip, ResultObject, Screening
from db.outbox import (
    mark_confirmed,
    mark_refused,
    mark_sent,
    mark_unreachable,
)
from db.retry import retry_series
from db.session import make_engine, make_sessions
from db.states import DeliveryState, SeriesState
from tests.integration.record import (
    NOW,
    SERIES,
    Sessions,
    after,
    completed,
    instance,
    lease,
    moves,
    read_series,
    register,
    save,
)

pytestmark = pytest.mark.servers


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    engine = make_engine(database_url, application_name="test")
    yield make_sessions(engine)
    engine.dispose()


def screened(sessions: Sessions, *destinations: str) -> tuple[int, int]:
    """A screened series: its id and the screening's."""
    series_id = register(sessions).series_id
    held = lease(sessions, series_id)
    save(sessions, held, *destinations)
    return series_id, held.screening_id


def claim(
    sessions: Sessions, screening_id: int, destination: str = "pacs", *, at: float = 0
) -> tuple[Claim, ...]:
    with sessions.begin() as session:
        return claim_deliveries(
            session,
            screening_id,
            destination,
            leased_by="w1",
            now=after(at),
            lease_seconds=60,
        )


def due(sessions: Sessions, at: float = 0) -> list[DueDelivery]:
    with sessions() as session:
        return due_deliveries(session, now=after(at), limit=100)


def send(sessions: Sessions, claims: tuple[Claim, ...], at: float = 1) -> None:
    for one in claims:
        with sessions.begin() as session:
            assert mark_sent(session, one, status="0x0000", now=after(at))


def states(sessions: Sessions) -> list[DeliveryState]:
    with sessions() as session:
        return list(session.scalars(select(Delivery.state).order_by(Delivery.id)))


def test_results_objects_and_deliveries_are_saved_together(sessions: Sessions) -> None:
    series_id, screening_id = screened(sessions, "pacs", "archive")

    with sessions() as session:
        run = session.get_one(Screening, screening_id)
        hips = session.scalars(select(Hip).order_by(Hip.side)).all()
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


def test_without_a_destination_nobody_is_owed_anything(sessions: Sessions) -> None:
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


def test_the_result_of_a_former_revision_does_not_deliver_the_newer_one(
    sessions: Sessions,
) -> None:
    series_id, first = screened(sessions, "pacs")
    held_back = claim(sessions, first)
    register(sessions, completed(instance(1), instance(2, content="b")), now=after(5))
    held = lease(sessions, series_id, now=after(6))
    save(sessions, held, "pacs", now=after(7))

    send(sessions, held_back, at=8)
    assert read_series(sessions, series_id).state is SeriesState.SCREENED
    send(sessions, claim(sessions, held.screening_id, at=9), at=9)

    assert read_series(sessions, series_id).state is SeriesState.DELIVERED


def test_overview_counts_and_tells_the_story_of_a_series(sessions: Sessions) -> None:
    _, screening_id = screened(sessions, "pacs")
    send(sessions, claim(sessions, screening_id)[:1])
    waiting = register(sessions, completed(series_instance_uid="1.9"), now=after(9)).series_id

    with sessions() as session:
        stands = standing.standing(session, now=after(10), limit=10)
        history = overview.series_history(session, SERIES)
        unknown = overview.series_history(session, "1.2.99")

    counts = stands.series
    assert (counts[SeriesState.SCREENED], counts[SeriesState.QUEUED]) == (1, 1)
    assert set(counts) == set(SeriesState)
    assert stands.recent[0].id == waiting
    assert stands.deliveries == {
        ("pacs", DeliveryState.SENT): 1,
        ("pacs", DeliveryState.DUE): 1,
    }
    assert stands.oldest_waiting == after(9)
    assert unknown is None
    assert history is not None
    assert [hip.side for hip in history.hips] == ["R", "L"]
    assert [one.result_object.role for one in history.deliveries] == ["sr", "sc"]
    assert [row.what for row in history.events][-1] == "sent"
    assert len(history.screenings) == 1


def test_what_ended_is_counted_for_a_day_and_what_is_open_for_ever(
    sessions: Sessions,
) -> None:
    _, screening_id = screened(sessions, "pacs", "archive")
    send(sessions, claim(sessions, screening_id))
    refused, *_ = claim(sessions, screening_id, destination="archive")
    with sessions.begin() as session:
        mark_refused(session, refused, status="0x0122", error="no context", now=NOW)
    delivered = register(sessions, completed(series_instance_uid="1.9")).series_id
    save(sessions, lease(sessions, delivered))

    with sessions() as session:
        same_day = standing.standing(session, now=after(60), limit=10)
        next_day = standing.standing(session, now=after(25 * 3600), limit=10)
        destinations = standing.list_destinations(session)

    open_states = {("archive", DeliveryState.REFUSED): 1, ("archive", DeliveryState.DUE): 1}
    assert same_day.deliveries == {**open_states, ("pacs", DeliveryState.SENT): 2}
    assert next_day.deliveries == open_states
    assert same_day.series[SeriesState.DELIVERED] == 1
    assert next_day.series[SeriesState.DELIVERED] == 0
    assert next_day.series[SeriesState.SCREENED] == 1
    assert destinations == ["archive", "pacs"]


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


def test_predecessor_is_the_report_of_the_former_revision(sessions: Sessions) -> None:
    series_id, _ = screened(sessions)
    register(sessions, completed(instance(1, content="b")), now=after(5))
    save(sessions, lease(sessions, series_id, now=after(6)), now=after(7))

    with sessions() as session:
        found = overview.predecessor(session, series_id, revision=2)
        none = overview.predecessor(session, series_id, revision=1)

    assert none is None
    assert found is not None
    assert found.report.path.endswith("r1/sr.dcm")


def test_previous_result_is_of_the_same_patient_and_an_earlier_study(
    sessions: Sessions,
) -> None:
    facts = completed().facts
    screened(sessions)
    later = NOW.date() + timedelta(days=400)
    values = {"study_instance_uid": "1.8", "series_instance_uid": "1.8.1"}
    same = type(facts)(patient_id="P1", study_date=later)
    other = type(facts)(patient_id="P2", study_date=later)
    issuer = type(facts)(patient_id="P1", issuer_of_patient_id="X", study_date=later)

    found = []
    for number, one in enumerate((same, other, issuer, facts, type(facts)())):
        values["study_instance_uid"] = f"1.8.{number}"
        registered = register(sessions, completed(facts=one, **values))
        with sessions() as session:
            found.append(overview.previous_results(session, registered.series_id, limit=5))

    assert [len(one) for one in found] == [1, 0, 0, 0, 0]
    (earlier,) = found[0]
    assert earlier.screening.grade == "osteopenia"
    assert earlier.study_date == NOW.date()
    assert [(hip.side, hip.neck_hu) for hip in earlier.hips] == [("R", 110.0), ("L", None)]


def test_previous_results_are_one_a_study_the_newest_study_first(sessions: Sessions) -> None:
    facts = completed().facts
    series_ids = []
    # Two series of the second study: the newer result counts.
    for number, days in enumerate((300, 700, 700, 20, 0)):
        one = completed(
            facts=replace(facts, study_date=NOW.date() - timedelta(days=days)),
            study_instance_uid=f"1.9.{days}",
            series_instance_uid=f"1.9.1.{number}",
        )
        series_ids.append(register(sessions, one).series_id)
        save(sessions, lease(sessions, series_ids[-1]))

    with sessions() as session:
        found = overview.previous_results(session, series_ids[-1], limit=5)
        two = overview.previous_results(session, series_ids[-1], limit=2)

    expected = [series_ids[3], series_ids[0], series_ids[2]]
    assert [one.screening.series_id for one in found] == expected
    assert [one.screening.series_id for one in two] == expected[:2]
