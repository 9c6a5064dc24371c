"""Covered: worklist and page of a series whose result is withdrawn."""

import pytest

from tests.support.record import claim, screened, send
from tests.support.review_site import ReviewSite
from tests.support.withdrawals import withdraw_now

pytestmark = pytest.mark.servers


def test_the_pages_say_that_a_result_is_withdrawn(site: ReviewSite) -> None:
    sessions = site.record.sessions
    series_id, run = screened(sessions, "pacs")
    send(sessions, claim(sessions, run))
    operator = site.client("operator")
    assert "Withdrawn." not in operator.get(f"/series/{series_id}").text
    withdraw_now(sessions, run)

    page = operator.get(f"/series/{series_id}")
    worklist = operator.get("/")

    assert (page.status_code, worklist.status_code) == (200, 200)
    assert "<strong>Withdrawn.</strong> This result no longer stands" in page.text
    assert "An operator withdrew it." in page.text
    assert "Rejection note (KO)" in page.text
    assert "<strong>withdrawn</strong>" in worklist.text
