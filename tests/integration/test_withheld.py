"""Covered: the record of results that the screening policy does not deliver, their delivery by
a retry, and the reports that count as delivered, with real PostgreSQL.

Not covered: runs under the policy (test_delivery_policy_runs.py).
"""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from db.completed_series import SeriesFacts
from db.history import study_predecessor
from db.models import Delivery, Series
from db.retry import Retried, retry_by_uid
from db.states import DeliveryState, SeriesState, StudyState
from db.study_results import save_unchanged
from db.study_series import standing_result
from db.withheld import DeliveredGrade, delivered_grades
from tests.support import record
from tests.support import study_record as study
from tests.support.received import FACTS
from tests.support.record import NOW, SERIES, STUDY, Sessions, after, claim, lease, send

pytestmark = pytest.mark.servers

WITHHELD = {"not_delivered_code": "SILENT", "not_delivered_text": "Nothing is delivered."}


def withhold_study(sessions: Sessions) -> int:
    """Save a withheld result of a study with one destination; return the study's ID."""
    study_id = study.due(sessions, 1)
    held = study.take(sessions, study_id, at=60)
    study.save(
        sessions,
        held,
        study.ends(sessions, held),
        "pacs",
        screening=record.screening(**WITHHELD),
    )
    return study_id


def retry(sessions: Sessions, uid: str, *destinations: str) -> Retried | None:
    with sessions.begin() as session:
        return retry_by_uid(
            session, uid, actor="operator a", now=after(200), destinations=destinations
        )


@pytest.mark.covers("H11")
def test_a_withheld_study_is_reported_and_a_retry_delivers_it(sessions: Sessions) -> None:
    withhold_study(sessions)

    assert study.state(sessions) is StudyState.REPORTED
    assert study.series_states(sessions) == {"1": SeriesState.SCREENED}
    assert record.deliveries(sessions) == []
    assert retry(sessions, STUDY) == Retried(screening=False, deliveries=0)

    assert retry(sessions, STUDY, "pacs") == Retried(screening=False, deliveries=2)
    assert record.deliveries(sessions) == [("pacs", DeliveryState.DUE)] * 2
    run = record.newest_run(sessions)
    assert run.not_delivered_code is None
    send(sessions, claim(sessions, run.id, at=200), 201)
    assert study.state(sessions) is StudyState.DELIVERED
    assert retry(sessions, STUDY, "pacs") == Retried(screening=False, deliveries=0)


def test_a_late_series_leaves_a_withheld_study_reported(sessions: Sessions) -> None:
    study_id = withhold_study(sessions)
    study.add(sessions, 2, at=110)
    assert study.complete(sessions, 200) == [study_id]
    held = study.take(sessions, study_id, at=200)
    ends = study.ends(sessions, held)
    with sessions.begin() as session:
        standing = standing_result(session, study_id)
        assert standing is not None
        kept = [replace(ends[0], state=None), ends[1]]
        save_unchanged(session, held, kept, standing, now=after(210))

    assert study.state(sessions) is StudyState.REPORTED


def test_a_withheld_series_is_screened_and_a_retry_delivers_it(sessions: Sessions) -> None:
    held = lease(sessions, record.register(sessions).series_id)
    record.save(sessions, held, "pacs", result=record.screening(**WITHHELD))

    assert record.read_series(sessions, held.series_id).state is SeriesState.SCREENED
    assert record.deliveries(sessions) == []
    assert retry(sessions, SERIES, "pacs") == Retried(screening=False, deliveries=2)
    send(sessions, claim(sessions, held.screening_id, at=200), 201)
    assert record.read_series(sessions, held.series_id).state is SeriesState.DELIVERED


def test_a_withheld_report_is_no_predecessor(sessions: Sessions) -> None:
    study_id = withhold_study(sessions)
    with sessions() as session:
        assert study_predecessor(session, study_id) is None

    retry(sessions, STUDY, "pacs")

    with sessions() as session:
        assert study_predecessor(session, study_id) is not None


def report(
    sessions: Sessions,
    number: int,
    *destinations: str,
    facts: SeriesFacts = FACTS,
    **result: Any,
) -> int:
    """Save the report of a series in a study of its own; return the ID of its run."""
    uids = {"study_instance_uid": f"1.9.{number}", "series_instance_uid": f"1.9.{number}.1"}
    series = record.completed(facts=facts, **uids)
    held = lease(sessions, record.register(sessions, series).series_id)
    made = tuple(
        replace(one, sop_instance_uid=f"{one.sop_instance_uid}.{number}")
        for one in record.objects(number)
    )
    record.save(sessions, held, *destinations, result=record.screening(**result), made=made)
    return held.screening_id


def delivered(
    sessions: Sessions, facts: SeriesFacts = FACTS, number: int = 99
) -> list[DeliveredGrade]:
    """Return the delivered reports of the patient on other studies than a new one."""
    uids = {"study_instance_uid": f"1.9.{number}", "series_instance_uid": f"1.9.{number}.1"}
    series = record.completed(facts=facts, **uids)
    series_id = record.register(sessions, series).series_id
    with sessions() as session:
        return delivered_grades(session, session.get_one(Series, series_id), within_months=12)


def test_delivered_reports_of_the_same_patient_count(sessions: Sessions) -> None:
    earlier, long_ago = date(2026, 3, 1), date(2025, 3, 1)
    report(sessions, 1, "pacs", facts=replace(FACTS, study_date=earlier), grade="normal")
    report(sessions, 2, "pacs", facts=replace(FACTS, study_date=long_ago))
    report(sessions, 3, "pacs", facts=replace(FACTS, patient_id="P2"))
    report(sessions, 4, "pacs", facts=replace(FACTS, issuer_of_patient_id="H2"))
    report(sessions, 5, "pacs", facts=replace(FACTS, patient_sex="M"))
    report(sessions, 6, "pacs", **WITHHELD)  # type: ignore[arg-type]
    report(sessions, 7)

    assert delivered(sessions) == [DeliveredGrade(earlier, "normal")]
    assert delivered(sessions, replace(FACTS, study_date=None), 98) == []


def test_a_report_that_its_destination_refused_does_not_count(sessions: Sessions) -> None:
    report(sessions, 1, "pacs")
    assert delivered(sessions) == [DeliveredGrade(NOW.date(), "osteopenia")]

    with sessions.begin() as session:
        session.query(Delivery).update({"state": DeliveryState.REFUSED})

    assert delivered(sessions) == []
