"""Retries of series by an operator."""

from datetime import timedelta

import pytest

from db.leases import finish_failed, finish_rejected
from db.retry import retry_series
from db.states import SeriesState
from tests.support.record import (
    NOW,
    SERIES,
    Sessions,
    after,
    due_ids,
    fail,
    lease,
    moves,
    read_series,
    register,
)

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("state", [SeriesState.REJECTED, SeriesState.FAILED])
def test_an_operator_can_retry_a_rejected_or_failed_series(
    state: SeriesState, sessions: Sessions
) -> None:
    series_id = register(sessions).series_id
    held = lease(sessions, series_id)
    with sessions.begin() as session:
        if state is SeriesState.REJECTED:
            finish_rejected(session, held, reason_code="GAPS", reason_text="x", now=NOW)
        else:
            finish_failed(
                session, held, error="x", now=NOW, max_attempts=0, retry_after=timedelta()
            )

    with sessions.begin() as session:
        retried = retry_series(session, SERIES, actor="operator", now=after(500))

    row = read_series(sessions, series_id)
    assert retried is not None
    assert (retried.screening, retried.deliveries) == (True, 0)
    assert (row.state, row.attempts, row.reason_code, row.error) == ("queued", 0, None, None)
    assert moves(sessions, series_id)[-1] == ("moved", state, "queued", "operator")
    assert lease(sessions, series_id, now=after(500)).attempt == 1


def test_retry_ends_the_back_off_of_a_queued_series(sessions: Sessions) -> None:
    series_id = register(sessions).series_id
    fail(sessions, lease(sessions, series_id))

    with sessions.begin() as session:
        retry_series(session, SERIES, actor="operator", now=after(1))

    assert due_ids(sessions, 1) == [series_id]


def test_retry_of_an_unknown_series_returns_none(sessions: Sessions) -> None:
    with sessions.begin() as session:
        assert retry_series(session, "1.2.9", actor="operator", now=NOW) is None
