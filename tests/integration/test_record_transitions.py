"""Transitions of states of a series in the database."""

import itertools

import pytest
from sqlalchemy.orm import Session

from db.models import Series
from db.states import ALLOWED, IllegalTransition, ResultPer, SeriesState
from db.studies import open_study
from db.transition import ChangedBy, Transition, move_series
from tests.support.record import NOW, STUDY, Sessions, lease, moves, register

pytestmark = pytest.mark.servers


def insert_in(session: Session, state: SeriesState) -> Series:
    study_id = open_study(
        session, STUDY, ResultPer.SERIES, ChangedBy("test", NOW), correlation_id=None
    ).id
    row = Series(
        study_id=study_id,
        study_instance_uid=STUDY,
        series_instance_uid=f"1.2.{session.connection().info.setdefault('n', 0)}",
        state=state,
        revision=1,
        created_at=NOW,
        changed_at=NOW,
    )
    session.connection().info["n"] += 1
    session.add(row)
    session.flush()
    return row


def test_of_all_pairs_of_states_exactly_the_listed_ones_move_a_row(sessions: Sessions) -> None:
    by = ChangedBy("test", NOW)
    with sessions.begin() as session:
        for before, target in itertools.product(SeriesState, SeriesState):
            row = insert_in(session, before)
            which = Series.id == row.id
            if target in ALLOWED[before]:
                moved = move_series(session, which, Transition(before, target), by)
                assert moved is not None
            else:
                with pytest.raises(IllegalTransition):
                    move_series(session, which, Transition(before, target), by)
            session.refresh(row)
            expected = target if target in ALLOWED[before] else before
            assert row.state is expected


def test_a_move_from_an_outdated_state_changes_nothing(sessions: Sessions) -> None:
    series_id = register(sessions).series_id
    lease(sessions, series_id)
    with sessions.begin() as session:
        moved = move_series(
            session,
            Series.id == series_id,
            Transition(SeriesState.QUEUED, SeriesState.SCREENING),
            ChangedBy("late", NOW),
        )

    assert moved is None
    assert "late" not in {actor for *_, actor in moves(sessions, series_id)}
