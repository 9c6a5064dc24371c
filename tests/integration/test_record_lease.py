"""Leases: grant, heartbeat, expiry, end of runs, and races of threads. Time is simulated."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from sqlalchemy import select

from db.lease_expiry import expire_leases
from db.leases import (
    Lease,
    LeaseLost,
    active_leases,
    finish_rejected,
    give_back,
    heartbeat,
    lease_series,
)
from db.models import Screening
from db.states import RunOutcome, SeriesState
from tests.support.record import (
    MAX_ATTEMPTS,
    NOW,
    SERIES,
    Sessions,
    after,
    completed,
    due_ids,
    fail,
    lease,
    read_series,
    register,
    save,
)

pytestmark = pytest.mark.servers
T = TypeVar("T")


def at_once(count: int, work: Callable[[int], T]) -> list[T]:
    """Call ``work`` in ``count`` threads that start together."""
    start = threading.Barrier(count)

    def run(number: int) -> T:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def run_of(sessions: Sessions, held: Lease) -> Screening:
    with sessions() as session:
        return session.get_one(Screening, held.screening_id)


def expire(sessions: Sessions, seconds: float) -> list[int]:
    """Expire the leases that end before ``seconds`` after ``NOW``."""
    with sessions.begin() as session:
        leases = active_leases(session)
        silent = {run: until for run, until in leases.items() if until < after(seconds)}
        return expire_leases(session, silent, now=after(seconds), max_attempts=MAX_ATTEMPTS)


def test_the_longest_waiting_series_is_due_first(sessions: Sessions) -> None:
    late = register(sessions, completed(series_instance_uid="1.9"), now=after(5)).series_id
    early = register(sessions, completed(series_instance_uid="1.8"), now=after(1)).series_id

    assert due_ids(sessions, 5) == [early, late]


def test_after_an_error_a_series_waits_unless_the_clock_was_set_back(
    sessions: Sessions,
) -> None:
    series_id = register(sessions).series_id
    fail(sessions, lease(sessions, series_id))

    assert due_ids(sessions, 29) == []
    assert due_ids(sessions, 30) == [series_id]
    assert due_ids(sessions, -3600) == [series_id]


def test_a_series_without_attempts_is_due_at_any_time(sessions: Sessions) -> None:
    series_id = register(sessions).series_id

    assert due_ids(sessions, -60) == [series_id]


def test_a_lease_that_was_extended_meanwhile_does_not_expire(sessions: Sessions) -> None:
    series_id = register(sessions).series_id
    held = lease(sessions, series_id)
    with sessions.begin() as session:
        seen = active_leases(session)
    with sessions.begin() as session:
        heartbeat(session, held, now=after(-3600), lease_seconds=60)  # the clock was set back

    with sessions.begin() as session:
        assert expire_leases(session, seen, now=after(99), max_attempts=1) == []


def test_a_lease_counts_the_attempt_before_the_run(sessions: Sessions) -> None:
    series_id = register(sessions).series_id

    held = lease(sessions, series_id)

    row = read_series(sessions, series_id)
    assert (row.state, row.attempts) == (SeriesState.SCREENING, 1)
    assert (held.attempt, held.revision, held.series_instance_uid) == (1, 1, SERIES)
    assert run_of(sessions, held).lease_until == after(60)
    assert due_ids(sessions, 10) == []


def test_of_eight_workers_one_gets_the_series(sessions: Sessions) -> None:
    series_id = register(sessions).series_id

    def take(number: int) -> Lease | None:
        with sessions.begin() as session:
            return lease_series(
                session, series_id, leased_by=f"w{number}", now=NOW, lease_seconds=60
            )

    taken = [held for held in at_once(8, take) if held is not None]

    assert len(taken) == 1
    assert read_series(sessions, series_id).attempts == 1


def test_eight_workers_share_forty_series_and_none_is_taken_twice(sessions: Sessions) -> None:
    ids = [
        register(sessions, completed(series_instance_uid=f"1.7.{n}")).series_id
        for n in range(40)
    ]

    def work(number: int) -> list[int]:
        mine = []
        for series_id in ids[number:] + ids[:number]:
            with sessions.begin() as session:
                held = lease_series(
                    session, series_id, leased_by=f"w{number}", now=NOW, lease_seconds=60
                )
            if held is not None:
                mine.append(series_id)
        return mine

    shares = at_once(8, work)

    assert sorted(series_id for share in shares for series_id in share) == sorted(ids)


def test_a_series_is_not_leased_before_its_next_attempt(sessions: Sessions) -> None:
    series_id = register(sessions).series_id
    assert fail(sessions, lease(sessions, series_id)) is SeriesState.QUEUED

    assert due_ids(sessions, 29) == []
    with sessions.begin() as session:
        leased = lease_series(
            session, series_id, leased_by="w", now=after(29), lease_seconds=60
        )
    assert leased is None
    assert lease(sessions, series_id, now=after(30)).attempt == 2


def test_the_last_attempt_fails_the_series_with_its_error(sessions: Sessions) -> None:
    series_id = register(sessions).series_id
    states = [
        fail(sessions, lease(sessions, series_id, now=after(n * 100)), now=n * 100)
        for n in range(MAX_ATTEMPTS)
    ]

    row = read_series(sessions, series_id)
    assert states == [SeriesState.QUEUED, SeriesState.QUEUED, SeriesState.FAILED]
    assert (row.attempts, row.error, row.next_attempt_at) == (3, "MemoryError", None)
    assert due_ids(sessions, 10_000) == []


def test_a_heartbeat_keeps_a_lease_alive(sessions: Sessions) -> None:
    series_id = register(sessions).series_id
    held = lease(sessions, series_id)

    with sessions.begin() as session:
        assert heartbeat(session, held, now=after(50), lease_seconds=60)

    assert expire(sessions, 61) == []
    assert expire(sessions, 111) == [series_id]


def test_an_expired_lease_is_due_at_once_and_the_first_worker_cannot_save(
    sessions: Sessions,
) -> None:
    series_id = register(sessions).series_id
    first = lease(sessions, series_id, by="w1")

    assert expire(sessions, 61) == [series_id]

    assert due_ids(sessions, 61) == [series_id]
    second = lease(sessions, series_id, now=after(62), by="w2")
    with sessions.begin() as session:
        assert not heartbeat(session, first, now=after(63), lease_seconds=60)
    with pytest.raises(LeaseLost):
        save(sessions, first, now=after(64))
    assert run_of(sessions, first).outcome is RunOutcome.EXPIRED
    assert save(sessions, second, now=after(65)) is SeriesState.DELIVERED
    assert read_series(sessions, series_id).attempts == 2


def test_a_series_that_kills_its_worker_fails_after_all_attempts(sessions: Sessions) -> None:
    series_id = register(sessions).series_id
    for attempt in range(MAX_ATTEMPTS):
        lease(sessions, series_id, now=after(attempt * 100))
        requeued = expire(sessions, attempt * 100 + 61)
        assert requeued == ([series_id] if attempt < MAX_ATTEMPTS - 1 else [])

    row = read_series(sessions, series_id)
    assert row.state is SeriesState.FAILED
    assert "expired in attempt 3" in (row.error or "")


def test_a_series_given_back_keeps_its_attempt(sessions: Sessions) -> None:
    series_id = register(sessions).series_id
    held = lease(sessions, series_id)

    with sessions.begin() as session:
        give_back(session, held, now=after(1))

    row = read_series(sessions, series_id)
    assert (row.state, row.attempts) == (SeriesState.QUEUED, 0)
    assert lease(sessions, series_id, now=after(1)).attempt == 1


def test_a_rejection_is_kept_with_its_reason_and_its_run(sessions: Sessions) -> None:
    series_id = register(sessions).series_id
    held = lease(sessions, series_id)

    with sessions.begin() as session:
        finish_rejected(
            session,
            held,
            reason_code="TOO_FEW_SLICES",
            reason_text="3 slices, at least 10 are needed",
            now=after(1),
            run_values={"orientation": "coronal", "timings_ms": {"load": 3.0}},
        )

    row, run = read_series(sessions, series_id), run_of(sessions, held)
    assert (row.state, row.reason_code) == (SeriesState.REJECTED, "TOO_FEW_SLICES")
    assert (run.outcome, run.reason_code) == (RunOutcome.REJECTED, "TOO_FEW_SLICES")
    assert (run.orientation, run.timings_ms) == ("coronal", {"load": 3.0})


@pytest.mark.parametrize("end", ["fail", "reject", "give back", "save"])
def test_a_run_ends_once(end: str, sessions: Sessions) -> None:
    held = lease(sessions, register(sessions).series_id)
    save(sessions, held)

    def end_again() -> None:
        if end == "fail":
            fail(sessions, held)
        if end == "save":
            save(sessions, held)
        with sessions.begin() as session:
            if end == "reject":
                finish_rejected(session, held, reason_code="GAPS", reason_text="x", now=NOW)
            if end == "give back":
                give_back(session, held, now=NOW)

    with pytest.raises(LeaseLost):
        end_again()


def test_saving_and_expiring_at_once_ends_in_one_of_the_two(sessions: Sessions) -> None:
    outcomes = set()
    for number in range(12):
        series = completed(series_instance_uid=f"1.6.{number}")
        series_id = register(sessions, series).series_id
        held = lease(sessions, series_id)

        def race(worker: int, held: Lease = held) -> bool:
            try:
                if worker:
                    return save(sessions, held, now=after(61)) is SeriesState.DELIVERED
                return expire(sessions, 61) != []
            except LeaseLost:
                return False

        results = at_once(2, race)
        state = read_series(sessions, series_id).state
        assert results.count(True) == 1
        assert state in (SeriesState.DELIVERED, SeriesState.QUEUED)
        outcomes.add(state)
        with sessions() as session:
            runs = session.scalars(
                select(Screening).where(
                    Screening.series_id == series_id, Screening.finished_at.is_(None)
                )
            ).all()
        assert runs == []
