"""Covered: changed content of another sender on the pages, and the decisions of an operator.

Not covered: rights and forged forms (test_rights.py); the files, which only the Storage SCP
moves (tests/integration/test_changed_content.py).
"""

import pytest
from sqlalchemy import select

from common.spool.held import Sender
from db.held import HeldContent, NewHeld, held_of_series, record_held
from db.models import Event, HeldInstance
from db.states import HeldState
from db.transition import ChangedBy
from tests.support.review_site import ReviewSite

pytestmark = pytest.mark.servers
TEXT = (
    "2 images have other content under known UIDs: first from CT_01, now from WS_02 (10.0.0.2),"
    " with differences in KVP, PixelData."
)


def hold(site: ReviewSite, *, images: int = 2) -> int:
    """Add a delivered series with changed content; return its ID."""
    series_id = site.record.delivered("normal", "normal")
    add_held(site, range(images))
    return series_id


def add_held(site: ReviewSite, numbers: range) -> None:
    study = f"1.2.826.{site.record.count}"
    new = [
        NewHeld(
            f"{study}.7.{n}",
            f"{site.record.count:032d}{n:032d}",
            site.record.at,
            "WS_02",
            "10.0.0.2",
            ("KVP", "PixelData"),
        )
        for n in numbers
    ]
    with site.record.sessions.begin() as session:
        by = ChangedBy("storescp", site.record.at)
        assert record_held(session, study, f"{study}.7", new, by) == len(new)


def held(site: ReviewSite, series_id: int) -> list[HeldContent]:
    with site.record.sessions() as session:
        return held_of_series(session, [series_id])


def states(site: ReviewSite, series_id: int) -> set[tuple[HeldState, str | None]]:
    with site.record.sessions() as session:
        rows = session.scalars(select(HeldInstance).where(HeldInstance.series_id == series_id))
        return {(one.state, one.decided_by) for one in rows}


@pytest.mark.parametrize(
    ("action", "state", "event"),
    [
        ("accept", HeldState.ACCEPTED, "content_accepted"),
        ("refuse", HeldState.REFUSED, "content_refused"),
    ],
)
def test_an_operator_decides_about_changed_content(
    action: str, state: HeldState, event: str, site: ReviewSite
) -> None:
    series_id = hold(site)
    operator = site.client("operator")
    path = f"/series/{series_id}"
    page = operator.get(path).text
    assert "CHANGED_CONTENT" in page
    assert TEXT in page
    assert (
        f'<a href="{path}">Series {series_id}</a>: 2 images from WS_02'
        in operator.get("/").text
    )
    (shown,) = held(site, series_id)
    assert shown.sender == Sender("WS_02", "10.0.0.2")

    form = {"csrf": operator.csrf(path), "held": str(shown.newest_id)}
    answer = operator.post(f"{path}/{action}", data=form)

    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert states(site, series_id) == {(state, "operator test operator")}
    with site.record.sessions() as session:
        events = session.scalars(select(Event).where(Event.series_id == series_id)).all()
    assert (events[-1].what, events[-1].actor) == (event, "operator test operator")
    assert "CHANGED_CONTENT" not in operator.get(path).text
    assert operator.post(f"{path}/{action}", data=form).status_code == 409


def test_content_that_the_page_did_not_show_is_a_conflict(site: ReviewSite) -> None:
    series_id = hold(site, images=1)
    operator = site.client("operator")
    (shown,) = held(site, series_id)
    add_held(site, range(1, 2))

    form = {"csrf": operator.csrf(), "held": str(shown.newest_id)}
    answer = operator.post(f"/series/{series_id}/accept", data=form)

    assert answer.status_code == 409
    assert states(site, series_id) == {(HeldState.HELD, None)}


def test_a_viewer_sees_changed_content_without_buttons(site: ReviewSite) -> None:
    page = site.client("viewer").get(f"/series/{hold(site)}").text

    assert TEXT in page
    assert "Accept and screen again" not in page
