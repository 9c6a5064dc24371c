"""Covered: worklist and pages of series whose study has one result."""

from shutil import copyfile

import pytest
from playwright.sync_api import expect

from db.models import Screening
from db.states import SeriesState, StudyState
from db.study_results import SeriesEnd, save_failed
from tests.support import study_record as study
from tests.support.record import Sessions, after
from tests.support.review_browser import BrowserWindow, log_in
from tests.support.review_record import PICTURE
from tests.support.review_site import ReviewClient, ReviewSite

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def series_ids(site: ReviewSite) -> dict[str, int]:
    """A study with a used, a not selected and a rejected series; the IDs by number."""
    sessions = site.record.sessions
    held = study.take(sessions, study.due(sessions, 1, 2, 3), at=60)
    used, other, last = study.ends(sessions, held)
    rejected = SeriesEnd(last.series, SeriesState.REJECTED, None, "LOCALIZER", "Scout.")
    folder = site.record.spool_dir / study.FOLDER
    folder.mkdir(parents=True)
    copyfile(PICTURE, folder / "sc.png")
    study.save(sessions, held, [used, other, rejected], "pacs")
    return {
        str(number): one.series.series_id
        for number, one in enumerate((used, other, rejected), 1)
    }


@pytest.fixture
def operator(site: ReviewSite) -> ReviewClient:
    return site.client("operator")


def test_a_study_is_one_row_with_its_series_beneath(
    site: ReviewSite, series_ids: dict[str, int], window: BrowserWindow
) -> None:
    page = log_in(window.page, site, "viewer")

    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Reported")
    expect(rows.first.get_by_role("link", name="Study")).to_have_attribute(
        "href", f"/series/{series_ids['1']}"
    )
    picture = rows.first.locator("img")
    assert picture.evaluate("image => image.complete && image.naturalWidth") == 112
    rows.last.get_by_text("3 series, 1 used").click()
    beneath = rows.last.get_by_role("listitem")
    expect(beneath).to_have_count(3)
    expect(beneath.nth(0)).to_contain_text("Used for R and L")
    expect(beneath.nth(1)).to_contain_text("Not selected Series 1.")
    expect(beneath.nth(2)).to_contain_text("Rejected Scout.")
    expect(beneath.nth(2).get_by_role("link")).to_have_attribute(
        "href", f"/series/{series_ids['3']}"
    )


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("state=reported", 1),
        ("state=delivered", 0),
        ("state=not_selected", 1),
        ("state=failed", 0),
        ("grade=normal", 0),
        ("grade=osteopenia", 1),
    ],
)
def test_studies_are_filtered_by_their_own_state_before_that_of_a_series(
    query: str, count: int, operator: ReviewClient, series_ids: dict[str, int]
) -> None:
    page = operator.get(f"/?{query}")

    assert page.status_code == 200
    assert page.text.count(f'href="/series/{series_ids["1"]}">Study') == count


@pytest.mark.parametrize("after", ["0", "-1", "x", "9" * 20, "\u0661"])
def test_a_page_that_cannot_exist(after: str, operator: ReviewClient) -> None:
    assert operator.get("/", params={"after": after}).status_code == 400


def test_the_page_of_the_used_series_has_the_picture_of_the_study(
    operator: ReviewClient, series_ids: dict[str, int]
) -> None:
    page = operator.get(f"/series/{series_ids['1']}")
    picture = operator.get(f"/series/{series_ids['1']}/picture/1")

    assert page.status_code == 200
    assert "Impression and grades" in page.text
    assert "Series of this study" in page.text
    assert f'href="/series/{series_ids["3"]}"' in page.text
    assert (picture.status_code, picture.content) == (200, PICTURE.read_bytes())


def test_the_page_of_a_series_that_is_not_used_tells_the_reason(
    operator: ReviewClient, series_ids: dict[str, int]
) -> None:
    other = operator.get(f"/series/{series_ids['2']}")
    rejected = operator.get(f"/series/{series_ids['3']}")

    assert (other.status_code, rejected.status_code) == (200, 200)
    assert "Series 1." in other.text
    assert "Scout." in rejected.text
    assert "Screen again" not in rejected.text, "its study has a report"


def test_the_page_says_why_a_result_is_not_delivered(
    site: ReviewSite, operator: ReviewClient, series_ids: dict[str, int]
) -> None:
    reason = {"not_delivered_code": "SILENT", "not_delivered_text": "Nothing is delivered."}
    with site.record.sessions.begin() as session:
        session.query(Screening).filter_by(series_id=series_ids["1"]).update(reason)

    page = operator.get(f"/series/{series_ids['1']}")

    assert page.status_code == 200
    assert "Not delivered: Nothing is delivered. <strong>SILENT</strong>" in page.text
    assert "does not mean a normal result" in page.text
    assert "<code>python -m worker retry 1.2.3.1</code>" in page.text


def test_a_retry_of_a_series_retries_its_study(site: ReviewSite) -> None:
    sessions: Sessions = site.record.sessions
    study.add(sessions, 9, at=200)
    (study_id,) = study.complete(sessions, 260)
    held = study.take(sessions, study_id, at=261)
    failed = [
        SeriesEnd(end.series, SeriesState.FAILED, end.rank, error="MemoryError")
        for end in study.ends(sessions, held)
    ]
    with sessions.begin() as session:
        save_failed(session, held, failed, error="MemoryError", now=after(262))
    operator = site.client("operator")
    series_id = failed[-1].series.series_id
    site.record.spool_dir.joinpath("1.2.3", "1.2.3.9").mkdir(parents=True)
    site.record.spool_dir.joinpath("1.2.3", "1.2.3.9", "1.2.dcm").write_bytes(b"image")

    page = f"/series/{series_id}"
    answer = operator.post(f"{page}/retry", data={"csrf": operator.csrf(page)})

    assert answer.status_code == 303
    assert study.state(sessions) is StudyState.SCREENING
