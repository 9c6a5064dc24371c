"""Registration of series and revisions."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import event, select

from db.completed_series import ArrivingSeries
from db.leases import LeaseLost, lease_series
from db.models import Instance, Screening
from db.registration import open_series, register_revision
from db.session import InvalidValue
from db.spool_state import registered_mtimes
from db.states import RunOutcome, SeriesState
from tests.support.record import (
    NOW,
    SERIES,
    STUDY,
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
QUEUED, RECEIVING = SeriesState.QUEUED, SeriesState.RECEIVING


def test_a_new_series_is_queued_with_instances_facts_and_evidence(sessions: Sessions) -> None:
    registered = register(sessions)

    row = read_series(sessions, registered.series_id)
    assert (registered.revision, registered.changed) == (1, True)
    assert (row.state, row.revision, row.attempts) == (QUEUED, 1, 0)
    assert (row.instance_count, row.total_bytes) == (3, 1536)
    assert (row.completed_by, row.completed_at, row.last_received_at) == ("quiet", NOW, NOW)
    assert (row.calling_ae_title, row.patient_id, row.kvp) == ("CT_01", "P1", 120.0)
    assert row.next_attempt_at == NOW
    assert moves(sessions, row.id) == [
        ("opened", None, "receiving", "storescp"),
        ("moved", "receiving", "queued", "storescp"),
    ]
    with sessions() as session:
        assert registered_mtimes(session) == {(STUDY, SERIES): 1}


def test_the_same_content_again_changes_nothing(sessions: Sessions) -> None:
    first = register(sessions)
    before = moves(sessions, first.series_id)
    reordered = completed(*reversed(completed().instances), spool_mtime_ns=2)

    again = register(sessions, reordered, now=after(60))

    assert (again.series_id, again.revision, again.changed) == (first.series_id, 1, False)
    assert moves(sessions, first.series_id) == before
    assert read_series(sessions, first.series_id).spool_mtime_ns == 2


@pytest.mark.parametrize("how", ["late instance", "changed bytes"])
def test_changed_content_of_a_delivered_series_is_the_next_revision(
    how: str, sessions: Sessions
) -> None:
    series_id = register(sessions).series_id
    assert save(sessions, lease(sessions, series_id)) is SeriesState.DELIVERED
    first = completed().instances
    changed = {
        "late instance": (*first, instance(3)),
        "changed bytes": (*first[:2], instance(2, content="b")),
    }[how]

    again = register(sessions, completed(*changed), now=after(100))

    row = read_series(sessions, series_id)
    assert (again.series_id, again.revision, again.changed) == (series_id, 2, True)
    assert (row.state, row.revision, row.attempts) == (QUEUED, 2, 0)
    assert row.instance_count == len(changed)
    assert [move[1:3] for move in moves(sessions, series_id)][-2:] == [
        ("delivered", "receiving"),
        ("receiving", "queued"),
    ]


def test_instances_have_the_revision_in_which_their_bytes_arrived(sessions: Sessions) -> None:
    series_id = register(sessions).series_id
    first = completed().instances
    register(sessions, completed(*first[:2], instance(2, content="b"), instance(3)))

    with sessions() as session:
        rows = session.scalars(
            select(Instance)
            .where(Instance.series_id == series_id)
            .order_by(Instance.sop_instance_uid)
        ).all()
    assert [row.revision for row in rows] == [1, 1, 2, 2]
    assert rows[2].sha256 == instance(2, content="b").sha256


def test_a_change_during_the_run_supersedes_the_run(sessions: Sessions) -> None:
    series_id = register(sessions).series_id
    held = lease(sessions, series_id)

    register(sessions, completed(*completed().instances, instance(3)), now=after(5))

    with pytest.raises(LeaseLost):
        save(sessions, held)
    row = read_series(sessions, series_id)
    assert (row.state, row.revision) == (QUEUED, 2)
    with sessions() as session:
        run = session.get_one(Screening, held.screening_id)
        assert run.outcome is RunOutcome.SUPERSEDED
    assert lease(sessions, series_id, now=after(6)).revision == 2


def test_a_series_that_opens_is_receiving_and_cannot_be_leased(sessions: Sessions) -> None:
    series_id = register(sessions).series_id
    with sessions.begin() as session:
        opened = open_series(
            session, ArrivingSeries(STUDY, SERIES, "CT_02"), now=after(1), actor="storescp"
        )
        taken = lease_series(session, series_id, leased_by="w", now=after(2), lease_seconds=60)

    assert opened == series_id
    assert taken is None
    assert read_series(sessions, series_id).state is RECEIVING
    with sessions() as session:
        assert registered_mtimes(session) == {}


def test_a_finished_series_stays_finished_until_its_content_is_known(
    sessions: Sessions,
) -> None:
    series_id = register(sessions).series_id
    save(sessions, lease(sessions, series_id))

    with sessions.begin() as session:
        open_series(session, ArrivingSeries(STUDY, SERIES, None), now=NOW, actor="storescp")
    again = register(sessions, now=after(10))

    assert not again.changed
    assert read_series(sessions, series_id).state is SeriesState.DELIVERED


def test_a_part_of_the_series_is_no_new_revision(
    sessions: Sessions,
) -> None:
    series_id = register(sessions).series_id
    save(sessions, lease(sessions, series_id))

    again = register(sessions, completed(instance(1)), now=after(10))
    changed = register(sessions, completed(instance(1, content="b")), now=after(20))

    assert (again.changed, again.revision) == (False, 1)
    assert (changed.changed, changed.revision) == (False, 1)
    assert changed.refused_because == read_series(sessions, series_id).change_refused
    assert "2 of those that were screened are missing" in (changed.refused_because or "")


def test_a_series_that_opened_without_a_change_is_queued_at_its_revision(
    sessions: Sessions,
) -> None:
    series_id = register(sessions).series_id
    with sessions.begin() as session:
        open_series(session, ArrivingSeries(STUDY, SERIES, None), now=NOW, actor="storescp")

    again = register(sessions, now=after(10))

    assert (again.revision, again.changed) == (1, True)
    assert read_series(sessions, series_id).state is QUEUED


def test_eight_registrations_of_one_series_at_once_make_one_revision(
    sessions: Sessions,
) -> None:
    start = threading.Barrier(8)
    results = []

    def run() -> None:
        start.wait()
        results.append(register(sessions))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {(one.series_id, one.revision) for one in results} == {(results[0].series_id, 1)}
    assert [one.changed for one in results].count(True) == 1


@pytest.mark.parametrize(
    ("contents", "revisions"), [((1, 2, 3, 4, 5), [2, 3, 4, 5, 6]), ((1, 1, 1, 1, 1), [2])]
)
def test_changes_that_come_at_once_make_one_revision_each(
    contents: tuple[int, ...], revisions: list[int], sessions: Sessions
) -> None:
    series_id = register(sessions).series_id
    start = threading.Barrier(len(contents))
    made = []

    def run(content: int) -> None:
        changed = completed(*completed().instances[:2], instance(2, content=chr(98 + content)))
        with sessions.begin() as session:
            session.connection()  # connecting takes longer than the race
            start.wait()
            registered = register_revision(session, changed, now=NOW, actor="storescp")
        if registered.changed:
            made.append(registered.revision)

    threads = [threading.Thread(target=run, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made) == revisions
    assert read_series(sessions, series_id).revision == revisions[-1]


def test_the_number_of_statements_does_not_grow_with_the_instances(sessions: Sessions) -> None:
    engine = sessions.kw["bind"]
    register(sessions)  # the first series also inserts the study
    counts = []
    for index, size in enumerate((1, 700)):
        statements: list[str] = []

        def count(*args: object, seen: list[str] = statements) -> None:
            seen.append(str(args[2]))

        event.listen(engine, "before_cursor_execute", count)
        many = completed(
            *(instance(n) for n in range(size)), series_instance_uid=f"1.5.{index}"
        )
        register(sessions, many)
        event.remove(engine, "before_cursor_execute", count)
        counts.append(len(statements))

    assert counts[0] == counts[1] <= 8


def test_one_statement_writes_any_number_of_instances(sessions: Sessions) -> None:
    statements: list[str] = []
    with sessions() as session:
        engine = session.get_bind()

    @event.listens_for(engine, "before_cursor_execute")
    def keep(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith("INSERT INTO instance"):
            statements.append(statement)

    register(sessions, completed(*(instance(n) for n in range(2))))
    register(sessions, completed(*(instance(n, content="b") for n in range(7))))

    assert len(statements) == 2
    assert len(set(statements)) == 1  # compiled once


def test_an_instance_value_that_is_too_long_is_refused(sessions: Sessions) -> None:
    long = replace(instance(1), calling_ae_title="A" * 100)

    with pytest.raises(InvalidValue):
        register(sessions, completed(long))
