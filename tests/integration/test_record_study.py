"""Studies with one result: completion, leases and attempts. Simulated time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from db.lease_expiry import expire_leases
from db.leases import active_leases, due_series, finish_failed, give_back
from db.registration import register_revision
from db.retry import retry_by_uid
from db.runs import LeaseLost
from db.states import SeriesState, StudyState
from db.study_leases import begin_series, due_studies, end_series, lease_study
from db.study_series import run_series
from tests.support import study_record as study
from tests.support.record import NOW, STUDY, Sessions, after, completed

pytestmark = pytest.mark.servers
MAX_ATTEMPTS = 3


def expire(sessions: Sessions, at: float) -> list[int]:
    with sessions.begin() as session:
        active = active_leases(session)
        return expire_leases(session, active, now=after(at), max_attempts=MAX_ATTEMPTS)


def fail(sessions: Sessions, held: study.StudyLease, at: float) -> bool:
    with sessions.begin() as session:
        return finish_failed(
            session,
            held,
            error="MemoryError",
            now=after(at),
            max_attempts=MAX_ATTEMPTS,
            retry_after=timedelta(seconds=30),
        )


def due_ids(sessions: Sessions, at: float) -> list[int]:
    with sessions() as session:
        return due_studies(session, now=after(at), limit=100)


def test_a_series_of_a_study_is_not_due_by_itself(sessions: Sessions) -> None:
    registered = study.add(sessions, 1)

    assert (registered.changed, registered.due) == (True, False)
    with sessions() as session:
        assert due_series(session, now=after(1000), limit=10) == []
    assert study.state(sessions) is StudyState.COLLECTING


def test_the_unit_of_a_study_on_record_does_not_change(sessions: Sessions) -> None:
    study.add(sessions, 1)
    with sessions.begin() as session:
        second = completed(series_instance_uid="1.2.3.2")
        registered = register_revision(session, second, now=NOW, actor="storescp")

    assert not registered.due


def test_a_study_is_complete_after_the_quiet_period_of_its_newest_instance(
    sessions: Sessions,
) -> None:
    study.add(sessions, 1, at=0)
    study.add(sessions, 2, at=30)

    assert study.complete(sessions, 89) == []
    (study_id,) = study.complete(sessions, 90)

    assert due_ids(sessions, 90) == [study_id]
    assert study.read_study(sessions).revision == 1


def test_a_study_is_complete_sooner_if_the_source_pacs_has_no_more_instances(
    sessions: Sessions,
) -> None:
    study.add(sessions, 1, completed_by="count")
    study.add(sessions, 2, completed_by="count")

    assert study.complete(sessions, 9) == []
    assert study.complete(sessions, 10, pending=[STUDY]) == []
    assert study.complete(sessions, 10, sending=[STUDY]) == []
    assert len(study.complete(sessions, 10)) == 1


def test_one_series_without_a_count_makes_a_study_wait_for_the_quiet_period(
    sessions: Sessions,
) -> None:
    study.add(sessions, 1, completed_by="count")
    study.add(sessions, 2)

    assert study.complete(sessions, 59) == []
    assert len(study.complete(sessions, 60)) == 1


def test_a_pending_series_or_an_open_association_keeps_a_study_open(
    sessions: Sessions,
) -> None:
    study.add(sessions, 1)

    assert study.complete(sessions, 10_000, pending=[STUDY]) == []
    assert study.complete(sessions, 359, sending=[STUDY]) == []
    assert len(study.complete(sessions, 361, sending=[STUDY])) == 1


def test_a_study_is_complete_although_the_clock_was_set_back(sessions: Sessions) -> None:
    study.add(sessions, 1, at=86_400)

    assert len(study.complete(sessions, 0)) == 1


def test_an_arriving_series_makes_a_due_study_wait(sessions: Sessions) -> None:
    study_id = study.due(sessions, 1)

    study.arrive(sessions, 2, at=61)

    assert study.state(sessions) is StudyState.COLLECTING
    study.add(sessions, 2, at=70)
    assert study.complete(sessions, 130) == [study_id]


def test_of_eight_workers_one_gets_the_study(sessions: Sessions) -> None:
    study_id = study.due(sessions, 1, 2)
    start = threading.Barrier(8)

    def try_lease(number: int) -> bool:
        start.wait()
        with sessions.begin() as session:
            by = f"w{number}"
            return (
                lease_study(session, study_id, leased_by=by, now=after(60), lease_seconds=60)
                is not None
            )

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(try_lease, range(8)))

    assert taken.count(True) == 1
    assert set(study.series_states(sessions).values()) == {SeriesState.SCREENING}
    assert due_ids(sessions, 10_000) == []


def test_an_expired_lease_makes_the_study_due_and_the_first_worker_cannot_save(
    sessions: Sessions,
) -> None:
    study_id = study.due(sessions, 1, 2)
    first = study.take(sessions, study_id, at=60)
    ends = study.ends(sessions, first)

    assert len(expire(sessions, 200)) == 1

    assert due_ids(sessions, 200) == [study_id]
    assert set(study.series_states(sessions).values()) == {SeriesState.QUEUED}
    second = study.take(sessions, study_id, at=201, by="w2")
    with pytest.raises(LeaseLost):
        study.save(sessions, first, ends)
    study.save(sessions, second, study.ends(sessions, second))
    assert study.state(sessions) is StudyState.DELIVERED


def test_a_study_given_back_keeps_its_attempt(sessions: Sessions) -> None:
    study_id = study.due(sessions, 1)
    held = study.take(sessions, study_id, at=60)

    with sessions.begin() as session:
        give_back(session, held, now=after(61))

    assert study.read_study(sessions).attempts == 0
    assert due_ids(sessions, 61) == [study_id]


def test_the_last_attempt_fails_the_study_and_its_series(sessions: Sessions) -> None:
    study_id = study.due(sessions, 1)

    ended = [
        fail(sessions, study.take(sessions, study_id, at=n * 100 + 60), n * 100 + 61)
        for n in range(MAX_ATTEMPTS)
    ]

    assert ended == [False, False, True]
    assert study.state(sessions) is StudyState.FAILED
    assert study.series_states(sessions) == {"1": SeriesState.FAILED}
    with sessions.begin() as session:
        retried = retry_by_uid(session, STUDY, actor="operator", now=after(999))
    assert retried is not None
    assert retried.screening
    assert due_ids(sessions, 999) == [study_id]
    assert study.series_states(sessions) == {"1": SeriesState.QUEUED}


def test_attempts_at_a_series_that_kills_its_worker_do_not_count_against_the_study(
    sessions: Sessions,
) -> None:
    study_id = study.due(sessions, 1, 2)
    for attempt in range(MAX_ATTEMPTS):
        held = study.take(sessions, study_id, at=attempt * 100 + 60)
        with sessions.begin() as session:
            series = run_series(session, held.study_id)
            assert series[0].attempts == attempt
            begin_series(session, series[0].series_id)
        assert len(expire(sessions, attempt * 100 + 130)) == 1

    with sessions.begin() as session:
        first, second = run_series(session, study_id)
        assert (first.attempts, second.attempts) == (MAX_ATTEMPTS, 0)
        end_series(session, first.series_id)
        assert run_series(session, study_id)[0].attempts == 0
