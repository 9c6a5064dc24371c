"""Covered: worklist, page, DXA pairs and labels of a series whose result is withdrawn."""

import pytest

from db.dxa import NewDxa, add_dxa, pairs
from tests.support.record import NOW, claim, screened, send
from tests.support.review_site import ReviewSite
from tests.support.withdrawals import withdraw_now

pytestmark = pytest.mark.servers


def test_the_pages_say_that_a_result_is_withdrawn(site: ReviewSite) -> None:
    sessions = site.record.sessions
    series_id, run = screened(sessions, "pacs")
    send(sessions, claim(sessions, run))
    operator = site.client("operator")
    assert "Withdrawn." not in operator.get(f"/series/{series_id}").text
    dxa = NewDxa("P1", None, NOW.date(), None, -2.6)
    with sessions.begin() as session:
        add_dxa(session, [dxa], entered_by="dr.hip", now=NOW)
        assert len(pairs(session, max_days_apart=90)) == 1
    assert operator.get("/export/labels.csv").text.count("\n") > 1
    withdraw_now(sessions, run)

    page = operator.get(f"/series/{series_id}")
    worklist = operator.get("/")

    assert (page.status_code, worklist.status_code) == (200, 200)
    assert "<strong>Withdrawn.</strong> This result no longer stands" in page.text
    assert "The result was withdrawn and no longer stands." in page.text
    assert "has not been sent to every destination yet" not in page.text
    assert "An operator withdrew it." in page.text
    with sessions() as session:
        assert pairs(session, max_days_apart=90) == []
    assert operator.get("/export/labels.csv").text.count("\n") == 1
    assert "Rejection note (KO)" in page.text
    assert "<strong>withdrawn</strong>" in worklist.text
