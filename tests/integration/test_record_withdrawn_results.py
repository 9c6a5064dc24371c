"""Withdrawn results in the record: quoting, look-ups, status, studies. Simulated time.

Not covered: the rejection note (test_record_withdrawal.py).
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from db import history, queue_status
from db.models import Screening
from db.states import DeliveryState, SeriesState, StudyState, WithdrawalReason
from db.study_results import Rejection, save_nothing_to_report
from db.study_series import standing_result
from db.withdrawal_lookup import (
    results_by_uid,
    results_of_model,
    results_of_series,
    withdrawn_object_uids,
)
from tests.support import study_record as study
from tests.support.record import (
    NOW,
    SERIES,
    STUDY,
    Sessions,
    after,
    changed,
    claim,
    completed,
    lease,
    register,
    save,
    screened,
    send,
)
from tests.support.withdrawals import delivery_states, withdraw_now, withdrawal

pytestmark = pytest.mark.servers

WRONG_PATIENT = WithdrawalReason.WRONG_PATIENT


@pytest.mark.covers("H10")
def test_a_withdrawn_result_is_neither_predecessor_nor_previous(sessions: Sessions) -> None:
    series_id, run = screened(sessions)
    facts = replace(completed().facts, study_date=NOW.date() + timedelta(days=400))
    values = {"study_instance_uid": "1.8", "series_instance_uid": "1.8.1"}
    later = register(sessions, completed(facts=facts, **values)).series_id

    with sessions() as session:
        assert len(history.previous_results(session, later, limit=5)) == 1
        assert history.predecessor(session, series_id, revision=2) is not None
    withdraw_now(sessions, run)

    with sessions() as session:
        assert history.previous_results(session, later, limit=5) == []
        assert history.predecessor(session, series_id, revision=2) is None
        assert withdrawn_object_uids(session, STUDY) == {"2.25.10", "2.25.11", f"2.25.8{run}"}


def test_a_superseded_result_is_not_quoted_where_the_newer_one_is_withdrawn(
    sessions: Sessions,
) -> None:
    series_id, _ = screened(sessions)
    register(sessions, changed(), now=after(5))
    held = lease(sessions, series_id, now=after(6))
    save(sessions, held, now=after(7))  # as before results were withdrawn when replaced
    withdraw_now(sessions, held.screening_id)
    facts = replace(completed().facts, study_date=NOW.date() + timedelta(days=400))
    values = {"study_instance_uid": "1.8", "series_instance_uid": "1.8.1"}
    later = register(sessions, completed(facts=facts, **values)).series_id

    with sessions() as session:
        assert history.previous_results(session, later, limit=5) == []


def test_results_are_found_by_every_uid_and_by_model(sessions: Sessions) -> None:
    series_id, run = screened(sessions, "pacs")
    send(sessions, claim(sessions, run))

    with sessions() as session:
        for uid in (STUDY, SERIES, "2.25.10", "2.25.911"):
            found = results_by_uid(session, uid)
            assert found is not None
            assert [one.screening_id for one in found] == [run]
            assert found[0].destinations == ("pacs",)
            assert found[0].report.sop_instance_uid == "2.25.10"
        assert results_by_uid(session, "1.2.99") is None
        assert [one.screening_id for one in results_of_model(session, "1")] == [run]
        assert results_of_model(session, "2") == []
    withdraw_now(sessions, run)
    with sessions() as session:
        assert results_by_uid(session, STUDY) == []
        assert results_of_model(session, "1") == []
        assert results_of_series(session, series_id) == []


def test_status_counts_the_withdrawals_of_a_day(sessions: Sessions) -> None:
    _, run = screened(sessions)
    withdraw_now(sessions, run)

    with sessions() as session:
        today = queue_status.queue_status(session, now=after(60), limit=1)
        tomorrow = queue_status.queue_status(session, now=after(25 * 3600), limit=1)

    assert today.withdrawn == {WithdrawalReason.OPERATOR: 1}
    assert tomorrow.withdrawn == {}


def reported_study(sessions: Sessions) -> int:
    """Return the run of a study that has been delivered to one destination."""
    held = study.take(sessions, study.due(sessions, 1, 2), at=60)
    study.save(sessions, held, study.ends(sessions, held), "pacs")
    send(sessions, claim(sessions, held.screening_id, at=100), at=101)
    return held.screening_id


def test_a_withdrawn_study_is_delivered_when_the_note_is(sessions: Sessions) -> None:
    run = reported_study(sessions)
    withdraw_now(sessions, run, at=200)
    assert study.state(sessions) is StudyState.REPORTED

    send(sessions, claim(sessions, run, at=201), at=202)

    assert study.state(sessions) is StudyState.DELIVERED
    assert study.series_states(sessions)["1"] is SeriesState.DELIVERED


def test_a_late_series_does_not_bring_back_what_an_operator_withdrew(
    sessions: Sessions,
) -> None:
    run = reported_study(sessions)
    withdraw_now(sessions, run, at=200)

    with sessions() as session:
        standing = standing_result(session, study.read_study(sessions).id)

    assert standing is not None
    assert standing.screening_id == run


def test_a_study_that_can_no_longer_be_graded_withdraws_its_result(sessions: Sessions) -> None:
    run = reported_study(sessions)
    study.add(sessions, 1, at=300, content="b")
    (study_id,) = study.complete(sessions, 400)
    held = study.take(sessions, study_id, at=401)
    with sessions.begin() as session:
        save_nothing_to_report(
            session,
            held,
            study.ends(sessions, held),
            study.ends(sessions, held)[0].series,
            Rejection("MIXED", "Two patients.", {}, [withdrawal(run, WRONG_PATIENT)]),
            now=after(402),
        )

    assert study.state(sessions) is StudyState.NOTHING_TO_REPORT
    assert delivery_states(sessions, run)["pacs", "ko"] is DeliveryState.DUE
    with sessions() as session:
        assert standing_result(session, study_id) is None
        assert session.get_one(Screening, run).withdrawal_reason is WRONG_PATIENT
