"""Status counts, history of a series, and earlier results."""

from dataclasses import replace
from datetime import timedelta

import pytest

from db import history, queue_status
from db.outbox import mark_refused
from db.states import DeliveryState, SeriesState
from tests.support.record import (
    NOW,
    SERIES,
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

pytestmark = pytest.mark.servers


def test_status_counts_series_and_history_lists_their_rows(sessions: Sessions) -> None:
    _, screening_id = screened(sessions, "pacs")
    send(sessions, claim(sessions, screening_id)[:1])
    waiting = register(sessions, completed(series_instance_uid="1.9"), now=after(9)).series_id

    with sessions() as session:
        status = queue_status.queue_status(session, now=after(10), limit=10)
        found = history.series_history(session, SERIES)
        unknown = history.series_history(session, "1.2.99")

    counts = status.series
    assert (counts[SeriesState.SCREENED], counts[SeriesState.QUEUED]) == (1, 1)
    assert set(counts) == set(SeriesState)
    assert status.recent[0].id == waiting
    assert status.deliveries == {
        ("pacs", DeliveryState.SENT): 1,
        ("pacs", DeliveryState.DUE): 1,
    }
    assert status.oldest_waiting == after(9)
    assert unknown is None
    assert found is not None
    assert [hip.side for hip in found.hips] == ["R", "L"]
    assert [one.result_object.role for one in found.deliveries] == ["sr", "sc"]
    assert [row.what for row in found.events][-1] == "sent"
    assert len(found.screenings) == 1


def test_ended_ones_are_counted_for_a_day_and_open_ones_always(
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
        same_day = queue_status.queue_status(session, now=after(60), limit=10)
        next_day = queue_status.queue_status(session, now=after(25 * 3600), limit=10)
        destinations = queue_status.list_destinations(session)

    open_states = {("archive", DeliveryState.REFUSED): 1, ("archive", DeliveryState.DUE): 1}
    assert same_day.deliveries == {**open_states, ("pacs", DeliveryState.SENT): 2}
    assert next_day.deliveries == open_states
    assert same_day.series[SeriesState.DELIVERED] == 1
    assert next_day.series[SeriesState.DELIVERED] == 0
    assert next_day.series[SeriesState.SCREENED] == 1
    assert destinations == ["archive", "pacs"]


def test_predecessor_is_the_report_of_the_previous_revision(sessions: Sessions) -> None:
    series_id, _ = screened(sessions)
    register(sessions, changed(), now=after(5))
    save(sessions, lease(sessions, series_id, now=after(6)), now=after(7))

    with sessions() as session:
        found = history.predecessor(session, series_id, revision=2)
        none = history.predecessor(session, series_id, revision=1)

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
    # An issuer that one of two results lacks agrees with any.
    issuer = type(facts)(patient_id="P1", issuer_of_patient_id="X", study_date=later)

    found = []
    for number, one in enumerate((same, other, issuer, facts, type(facts)())):
        values["study_instance_uid"] = f"1.8.{number}"
        registered = register(sessions, completed(facts=one, **values))
        with sessions() as session:
            found.append(history.previous_results(session, registered.series_id, limit=5))

    assert [len(one) for one in found] == [1, 0, 1, 0, 0]
    (earlier,) = found[0]
    assert earlier.screening.grade == "osteopenia"
    assert earlier.study_date == NOW.date()
    assert [(hip.side, hip.neck_hu) for hip in earlier.hips] == [("R", 110.0), ("L", None)]


def test_a_result_of_another_issuer_is_not_a_previous_one(sessions: Sessions) -> None:
    facts = replace(completed().facts, issuer_of_patient_id="X")
    series_id = register(sessions, completed(facts=facts)).series_id
    save(sessions, lease(sessions, series_id))
    later = replace(facts, issuer_of_patient_id="Y", study_date=NOW.date() + timedelta(400))
    one = completed(facts=later, study_instance_uid="1.8", series_instance_uid="1.8.1")
    registered = register(sessions, one)

    with sessions() as session:
        assert history.previous_results(session, registered.series_id, limit=5) == []


def test_previous_results_are_one_per_study_newest_first(sessions: Sessions) -> None:
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
        found = history.previous_results(session, series_ids[-1], limit=5)
        two = history.previous_results(session, series_ids[-1], limit=2)

    expected = [series_ids[3], series_ids[0], series_ids[2]]
    assert [one.screening.series_id for one in found] == expected
    assert [one.screening.series_id for one in two] == expected[:2]
