"""Withdrawn results in the record: who gets the rejection note, and when. Simulated time.

Covered: destinations that hold, may hold or lack an object; deliveries in progress; the order
of new objects and note; results that follow each other; states.

Not covered: quoting, look-ups and studies (test_record_withdrawn_results.py).
"""

from dataclasses import replace

import pytest

from db import history
from db.commitment import NotCommitted, record_report
from db.outbox import NewResult, mark_refused, mark_unreachable, save_screening
from db.retry import redeliver
from db.states import DeliveryState, SeriesState, WithdrawalReason
from tests.support.record import (
    HIPS,
    NOW,
    SERIES,
    Sessions,
    after,
    changed,
    claim,
    lease,
    moves,
    objects,
    read_series,
    register,
    screened,
    screening,
    send,
)
from tests.support.withdrawals import delivery_states, withdraw_now, withdrawal

pytestmark = pytest.mark.servers

DUE, SENT, WAITING = DeliveryState.DUE, DeliveryState.SENT, DeliveryState.WAITING
REPLACED, WRONG_PATIENT = WithdrawalReason.REPLACED, WithdrawalReason.WRONG_PATIENT


def replace_result(
    sessions: Sessions,
    series_id: int,
    first: int,
    *destinations: str,
    content: str = "b",
    reason: WithdrawalReason = REPLACED,
    withheld: str | None = None,
) -> int:
    """Save the result of the next revision, which withdraws ``first``; return its run."""
    register(sessions, changed(content), now=after(20))
    held = lease(sessions, series_id, now=after(21))
    with sessions.begin() as session:
        save_screening(
            session,
            held,
            NewResult(
                replace(screening(), not_delivered_code=withheld),
                HIPS,
                objects(held.revision),
                destinations,
                [withdrawal(first, reason)],
            ),
            now=after(22),
        )
    return held.screening_id


def test_the_note_goes_to_each_destination_that_may_hold_an_object(sessions: Sessions) -> None:
    series_id, run = screened(sessions, "holds", "refused", "silent", "away", "untried")
    send(sessions, claim(sessions, run, "holds"))
    with sessions.begin() as session:
        for one in claim(sessions, run, "refused"):
            mark_refused(session, one, status="0x0122", error="no", now=NOW)
        for name, may_hold in (("silent", True), ("away", False)):
            for one in claim(sessions, run, name):
                mark_unreachable(
                    session, one, status=None, error="", next_attempt_at=NOW, may_hold=may_hold
                )

    assert withdraw_now(sessions, run) == ("holds", "silent")

    found = delivery_states(sessions, run)
    assert {name: found[name, "ko"] for name in ("holds", "silent")} == {
        "holds": DUE,
        "silent": DUE,
    }
    assert found["holds", "sr"] is SENT
    not_sent = {found[name, "sr"] for name in ("refused", "silent", "away", "untried")}
    assert not_sent == {DeliveryState.WITHDRAWN}
    assert ("withdrawn", None, None, "operator") in moves(sessions, series_id)
    assert withdraw_now(sessions, run) is None


def test_the_note_follows_a_delivery_in_progress(sessions: Sessions) -> None:
    _, run = screened(sessions, "pacs")
    claims = claim(sessions, run, at=0)  # a lease of 60 s

    assert withdraw_now(sessions, run) == ("pacs",)

    assert claim(sessions, run, at=20) == ()
    send(sessions, claims, at=30)
    (note,) = claim(sessions, run, at=31)
    assert note.role == "ko"


def test_the_note_follows_a_delivery_whose_worker_was_killed(sessions: Sessions) -> None:
    _, run = screened(sessions, "pacs")
    claim(sessions, run, at=0)
    withdraw_now(sessions, run)

    (note,) = claim(sessions, run, at=61)

    assert note.role == "ko"
    assert delivery_states(sessions, run)["pacs", "sr"] is DeliveryState.WITHDRAWN


def test_the_note_does_not_wait_for_a_result_that_the_policy_withholds(
    sessions: Sessions,
) -> None:
    series_id, first = screened(sessions, "pacs")
    send(sessions, claim(sessions, first))
    assert read_series(sessions, series_id).state is SeriesState.DELIVERED

    second = replace_result(sessions, series_id, first, "pacs", withheld="SILENT")

    assert delivery_states(sessions, first)["pacs", "ko"] is DUE
    assert delivery_states(sessions, second) == {}
    send(sessions, claim(sessions, first, at=30), at=31)
    assert delivery_states(sessions, first)["pacs", "ko"] is SENT
    assert read_series(sessions, series_id).state is SeriesState.SCREENED


def test_the_note_of_a_replaced_result_waits_for_the_new_objects(sessions: Sessions) -> None:
    series_id, first = screened(sessions, "pacs", "removed")
    for name in ("pacs", "removed"):
        send(sessions, claim(sessions, first, name))

    second = replace_result(sessions, series_id, first, "pacs")

    assert delivery_states(sessions, first)["pacs", "ko"] is WAITING
    assert delivery_states(sessions, first)["removed", "ko"] is DUE
    claims = claim(sessions, second, at=30)
    send(sessions, claims[:1], at=31)
    assert delivery_states(sessions, first)["pacs", "ko"] is WAITING
    send(sessions, claims[1:], at=32)
    assert delivery_states(sessions, first)["pacs", "ko"] is DUE
    assert read_series(sessions, series_id).state is SeriesState.SCREENED
    for name in ("pacs", "removed"):
        send(sessions, claim(sessions, first, name, at=33), at=34)
    assert read_series(sessions, series_id).state is SeriesState.DELIVERED


def test_the_note_of_another_patient_waits_for_nothing(sessions: Sessions) -> None:
    series_id, first = screened(sessions, "pacs")
    send(sessions, claim(sessions, first))

    replace_result(sessions, series_id, first, "pacs", reason=WRONG_PATIENT)

    assert delivery_states(sessions, first)["pacs", "ko"] is DUE


def test_a_note_waits_for_the_newest_of_three_results(sessions: Sessions) -> None:
    series_id, first = screened(sessions, "pacs")
    send(sessions, claim(sessions, first))
    second = replace_result(sessions, series_id, first, "pacs")

    third = replace_result(sessions, series_id, second, "pacs", content="c")

    assert delivery_states(sessions, first)["pacs", "ko"] is WAITING
    assert set(delivery_states(sessions, second).values()) == {DeliveryState.WITHDRAWN}
    send(sessions, claim(sessions, third, at=40), at=41)
    assert delivery_states(sessions, first)["pacs", "ko"] is DUE


def test_a_note_does_not_wait_for_a_result_that_is_withdrawn_too(sessions: Sessions) -> None:
    series_id, first = screened(sessions, "pacs")
    send(sessions, claim(sessions, first))
    second = replace_result(sessions, series_id, first, "pacs")

    assert withdraw_now(sessions, second, at=30) == ()

    assert delivery_states(sessions, first)["pacs", "ko"] is DUE


def test_a_delivered_series_is_delivered_again_when_the_note_is(sessions: Sessions) -> None:
    series_id, run = screened(sessions, "pacs")
    send(sessions, claim(sessions, run))
    withdraw_now(sessions, run)
    assert read_series(sessions, series_id).state is SeriesState.SCREENED

    send(sessions, claim(sessions, run, at=11), at=12)

    assert read_series(sessions, series_id).state is SeriesState.DELIVERED


def test_a_result_that_no_destination_has_is_withdrawn_without_a_delivery(
    sessions: Sessions,
) -> None:
    series_id, run = screened(sessions, "pacs")

    assert withdraw_now(sessions, run) == ()

    assert read_series(sessions, series_id).state is SeriesState.DELIVERED
    assert claim(sessions, run, at=20) == ()


def test_only_the_note_of_a_withdrawn_result_is_sent_again(sessions: Sessions) -> None:
    series_id, run = screened(sessions, "pacs")
    send(sessions, claim(sessions, run))
    withdraw_now(sessions, run)
    send(sessions, claim(sessions, run, at=11), at=12)

    with sessions.begin() as session:
        series = session.get_one(type(read_series(sessions, series_id)), series_id)
        assert redeliver(session, series, actor="operator", now=after(13)) == 1

    assert [one.role for one in claim(sessions, run, at=14)] == ["ko"]


def test_a_failed_commitment_does_not_bring_a_withdrawn_object_back(sessions: Sessions) -> None:
    _, run = screened(sessions, "pacs")
    claims = claim(sessions, run)
    send(sessions, claims)
    withdraw_now(sessions, run)
    with sessions.begin() as session:
        held = history.series_history(session, SERIES)
        assert held is not None
        for one in held.deliveries:
            one.delivery.transaction_uid = "2.25.7"
        session.flush()
        failed = {claims[0].sop_instance_uid: NotCommitted("lost", after(20))}
        record_report(session, "2.25.7", (), failed, now=after(15), actor="scp")

    assert delivery_states(sessions, run)["pacs", "sr"] is SENT
