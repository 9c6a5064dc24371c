"""Ends of runs over studies with one result, and late series. Simulated time."""

import pytest

from db.models import Screening
from db.retry import retry_by_uid
from db.states import RunOutcome, SeriesState, StudyState
from db.study_results import (
    Rejection,
    SeriesEnd,
    StudyChanged,
    save_failed,
    save_nothing_to_report,
    save_unchanged,
    supersede,
)
from db.study_series import run_series, standing_result
from tests.support import study_record as study
from tests.support.record import STUDY, Sessions, after, claim, send

pytestmark = pytest.mark.servers


def test_a_result_is_saved_with_the_end_of_every_series_and_delivered(
    sessions: Sessions,
) -> None:
    study_id = study.due(sessions, 1, 2, 3)
    held = study.take(sessions, study_id, at=60)
    found = study.ends(sessions, held)
    rejected = SeriesEnd(found[2].series, SeriesState.REJECTED, None, "LOCALIZER", "Scout.")

    study.save(sessions, held, [*found[:2], rejected], "pacs")

    assert study.state(sessions) is StudyState.REPORTED
    assert study.series_states(sessions) == {
        "1": SeriesState.SCREENED,
        "2": SeriesState.NOT_SELECTED,
        "3": SeriesState.REJECTED,
    }
    claims = claim(sessions, held.screening_id, at=100)
    send(sessions, claims[:1], at=101)
    assert study.state(sessions) is StudyState.REPORTED
    send(sessions, claims[1:], at=101)
    assert study.state(sessions) is StudyState.DELIVERED
    assert study.series_states(sessions)["1"] is SeriesState.DELIVERED


def test_a_result_without_destinations_is_delivered(sessions: Sessions) -> None:
    held = study.take(sessions, study.due(sessions, 1), at=60)

    study.save(sessions, held, study.ends(sessions, held))

    assert study.state(sessions) is StudyState.DELIVERED


def test_a_series_registered_during_the_run_is_told_to_the_worker(sessions: Sessions) -> None:
    held = study.take(sessions, study.due(sessions, 1), at=60)
    found = study.ends(sessions, held)
    study.add(sessions, 2, at=61)

    with pytest.raises(StudyChanged):
        study.save(sessions, held, found)

    assert study.state(sessions) is StudyState.SCREENING
    study.save(sessions, held, study.ends(sessions, held))
    assert study.series_states(sessions)["2"] is SeriesState.NOT_SELECTED


def test_a_used_series_that_arrives_again_supersedes_the_run(sessions: Sessions) -> None:
    study_id = study.due(sessions, 1, 2)
    held = study.take(sessions, study_id, at=60)
    found = study.ends(sessions, held)
    study.arrive(sessions, 1, at=61)

    with pytest.raises(StudyChanged):
        study.save(sessions, held, found)
    with sessions.begin() as session:
        supersede(session, held, now=after(62))

    assert study.state(sessions) is StudyState.COLLECTING
    assert study.read_study(sessions).attempts == 0
    with sessions() as session:
        run = session.get_one(Screening, held.screening_id)
        assert run.outcome is RunOutcome.SUPERSEDED
    study.add(sessions, 1, at=70, content="b")
    assert study.complete(sessions, 130) == [study_id]


def test_a_series_that_arrives_and_is_not_used_does_not_stop_the_run(
    sessions: Sessions,
) -> None:
    held = study.take(sessions, study.due(sessions, 1), at=60)
    found = study.ends(sessions, held)
    study.arrive(sessions, 2, at=61)

    study.save(sessions, held, found)

    assert study.state(sessions) is StudyState.DELIVERED
    study.add(sessions, 2, at=70)
    assert study.state(sessions) is StudyState.COLLECTING


def test_a_late_series_that_changes_nothing_leaves_the_result(sessions: Sessions) -> None:
    study_id = study.due(sessions, 1)
    held = study.take(sessions, study_id, at=60)
    study.save(sessions, held, study.ends(sessions, held))
    study.add(sessions, 2, at=200)
    study.complete(sessions, 260)
    again = study.take(sessions, study_id, at=261)

    with sessions.begin() as session:
        first, second = run_series(session, study_id)
        assert (first.is_new, second.is_new) == (False, True)
        standing = standing_result(session, study_id)
        assert standing is not None
        assert (standing.series_ids, standing.graded_sides) == ({first.series_id}, {"R"})
        late = SeriesEnd(second, SeriesState.NOT_SELECTED, 2, "NOT_SELECTED", "Late.")
        kept = SeriesEnd(first, None, 1)
        save_unchanged(session, again, [kept, late], standing, now=after(262))

    assert study.state(sessions) is StudyState.DELIVERED
    assert study.series_states(sessions) == {
        "1": SeriesState.DELIVERED,
        "2": SeriesState.NOT_SELECTED,
    }


def test_a_replaced_series_is_not_selected_any_more(sessions: Sessions) -> None:
    study_id = study.due(sessions, 1)
    held = study.take(sessions, study_id, at=60)
    study.save(sessions, held, study.ends(sessions, held), "pacs")
    study.add(sessions, 2, at=200)
    study.complete(sessions, 260)
    again = study.take(sessions, study_id, at=261)
    first, second = study.ends(sessions, again)
    ends = [
        SeriesEnd(second.series, SeriesState.SCREENED, 1, is_used=True),
        SeriesEnd(first.series, SeriesState.NOT_SELECTED, 2, "NOT_SELECTED", "Series 2."),
    ]

    study.save(sessions, again, ends, "pacs", at=262)

    assert study.series_states(sessions) == {
        "1": SeriesState.NOT_SELECTED,
        "2": SeriesState.SCREENED,
    }
    send(sessions, claim(sessions, held.screening_id, at=263), at=264)
    assert study.state(sessions) is StudyState.REPORTED, "the newest result is not delivered"
    send(sessions, claim(sessions, again.screening_id, at=265), at=266)
    assert study.state(sessions) is StudyState.DELIVERED


def test_nothing_to_report_and_failed_end_a_study(sessions: Sessions) -> None:
    study_id = study.due(sessions, 1)
    held = study.take(sessions, study_id, at=60)
    (end,) = study.ends(sessions, held)
    rejected = SeriesEnd(end.series, SeriesState.REJECTED, None, "LOCALIZER", "Scout.")

    with sessions.begin() as session:
        save_nothing_to_report(
            session,
            held,
            [rejected],
            end.series,
            Rejection("LOCALIZER", "Scout.", {"orientation": None}),
            now=after(61),
        )

    row = study.read_study(sessions)
    assert (row.state, row.reason_code) == (StudyState.NOTHING_TO_REPORT, "LOCALIZER")
    with sessions.begin() as session:
        retry_by_uid(session, STUDY, actor="operator", now=after(62))
    again = study.take(sessions, study_id, at=62)
    failed = SeriesEnd(end.series, SeriesState.FAILED, 1, error="MemoryError", is_used=True)
    with sessions.begin() as session:
        save_failed(session, again, [failed], error="MemoryError", now=after(63))
    assert study.state(sessions) is StudyState.FAILED
