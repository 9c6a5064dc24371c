"""Covered: every action of readers and operators, in Chromium, down to the database."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from common.spool.layout import SeriesKey, remove_series
from db import deliveries
from db.history import SeriesHistory, history_of, series_by_uid
from db.models import Delivery, Feedback
from db.states import DeliveryState, SeriesState
from tests.support.review_browser import BrowserWindow, log_in
from tests.support.review_site import ReviewSite

pytestmark = pytest.mark.servers


@pytest.fixture
def operator(window: BrowserWindow, site: ReviewSite) -> Page:
    return log_in(window.page, site, "operator")


@pytest.fixture
def reader(window: BrowserWindow, site: ReviewSite) -> Page:
    return log_in(window.page, site, "reader")


def history(site: ReviewSite, series_id: int) -> SeriesHistory:
    with site.record.sessions() as session:
        series = series_by_uid(session, f"1.2.826.{site.record.count}.7")
        assert series is not None
        assert series.id == series_id
        return history_of(session, series)


def saved_feedback(site: ReviewSite) -> list[Feedback]:
    with site.record.sessions() as session:
        return list(session.scalars(select(Feedback).order_by(Feedback.id)))


@pytest.mark.parametrize("state", ["failed", "rejected"])
def test_an_operator_has_a_series_screened_again(
    state: str, site: ReviewSite, operator: Page
) -> None:
    made = site.record.failed() if state == "failed" else site.record.rejected("GAPS", "one")
    operator.goto(f"{site.url}/series/{made}")

    operator.get_by_role("button", name="Screen again").click()

    expect(operator.get_by_text("waits for a worker")).to_be_visible()
    expect(operator.get_by_role("region", name="History").first).to_contain_text(
        "operator test operator"
    )
    after = history(site, made)
    assert (after.series.state, after.series.attempts) == (SeriesState.QUEUED, 0)
    assert after.events[-1].actor == "operator test operator"


def test_a_series_without_images_is_not_screened_again(
    site: ReviewSite, operator: Page
) -> None:
    made = site.record.failed(images=0)
    operator.goto(f"{site.url}/series/{made}")

    expect(operator.get_by_role("button", name="Screen again")).to_be_disabled()
    expect(
        operator.get_by_text("To have the series screened, send them again.")
    ).to_be_visible()


def test_screening_again_after_the_images_were_deleted_is_a_conflict(
    site: ReviewSite, operator: Page, window: BrowserWindow
) -> None:
    made = site.record.failed()
    operator.goto(f"{site.url}/series/{made}")
    series = history(site, made).series
    key = SeriesKey(series.study_instance_uid, series.series_instance_uid)
    remove_series(site.record.spool_dir, key, before=datetime.now(UTC) + timedelta(days=1))

    with operator.expect_response("**/retry") as answer:
        operator.get_by_role("button", name="Screen again").click()

    assert answer.value.status == 409
    expect(operator.get_by_text("send them again")).to_be_visible()
    assert history(site, made).series.state is SeriesState.FAILED
    window.errors.clear()  # the console reports the 409


def test_refused_deliveries_are_tried_again(site: ReviewSite, operator: Page) -> None:
    made = site.record.refused("osteopenia")
    operator.goto(f"{site.url}/series/{made}")

    operator.get_by_role("button", name="Retry deliveries now").click()

    expect(operator.get_by_role("region", name="Deliveries").first).to_contain_text(
        "to be sent"
    )
    assert {one.delivery.state for one in history(site, made).deliveries} == {DeliveryState.DUE}


def test_a_delivered_result_is_sent_again(site: ReviewSite, operator: Page) -> None:
    made = site.record.delivered("normal", "normal")
    operator.goto(f"{site.url}/series/{made}")

    operator.get_by_role("button", name="Send report and picture again").click()

    expect(operator.get_by_text("has not been sent to every destination yet")).to_be_visible()
    after = history(site, made)
    assert after.series.state is SeriesState.SCREENED
    assert [(one.delivery.state, one.delivery.attempts) for one in after.deliveries] == [
        (DeliveryState.DUE, 0)
    ] * 2
    site.record.at = datetime.now(UTC)
    site.record.deliver(made)
    assert history(site, made).series.state is SeriesState.DELIVERED


def test_deliveries_that_a_worker_is_sending_are_not_sent_again(
    site: ReviewSite, operator: Page
) -> None:
    made = site.record.delivered("normal", "normal")
    with site.record.sessions.begin() as session:
        session.query(Delivery).filter(
            Delivery.screening_id == history(site, made).screenings[-1].id
        ).update({"state": DeliveryState.DUE})
        due = deliveries.due_deliveries(session, now=site.record.at, limit=1)
        claimed = deliveries.claim_deliveries(
            session,
            due[-1],
            leased_by="w",
            now=site.record.at,
            lease_seconds=60,
        )
    assert len(claimed) == 2
    client = site.client("operator")

    client.post(f"/series/{made}/redeliver", data={"csrf": client.csrf()})

    assert {one.delivery.attempts for one in history(site, made).deliveries} == {2}


def test_the_newest_feedback_of_a_reader_counts(site: ReviewSite, reader: Page) -> None:
    made = site.record.delivered("osteopenia", "normal")
    reader.goto(f"{site.url}/series/{made}")
    right = reader.locator("#feedback-R")

    right.get_by_text("Give feedback").click()
    right.get_by_label("I agree").check()
    right.get_by_role("button", name="Save feedback").click()
    expect(right).to_contain_text("test reader agrees")
    right.get_by_text("Give feedback").click()
    right.get_by_label("I disagree").check()
    right.get_by_label("the correct grade").select_option("Osteoporosis")
    right.get_by_label("Comment").fill("<b>thin</b> cortex")
    right.get_by_role("button", name="Save feedback").click()

    expect(right).to_contain_text("test reader disagrees: Osteoporosis")
    expect(right).to_contain_text("<b>thin</b> cortex")
    expect(right.get_by_text("test reader agrees")).to_have_count(0)
    saved = saved_feedback(site)[-2:]
    assert [(one.side, one.agrees, one.corrected_grade) for one in saved] == [
        ("R", True, None),
        ("R", False, "osteoporosis"),
    ]


@pytest.mark.covers("T17")
def test_a_reader_has_no_operator_buttons(site: ReviewSite, reader: Page) -> None:
    made = site.record.failed()
    reader.goto(f"{site.url}/series/{made}")

    expect(reader.get_by_role("button", name="Screen again")).to_have_count(0)


def form(site: ReviewSite, series_id: int, **values: str) -> dict[str, str]:
    screening = str(history(site, series_id).screenings[-1].id)
    return {"screening": screening, "side": "L", "verdict": "agree", **values}


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"verdict": "perhaps"}, 422),
        ({"verdict": "agree", "grade": "normal"}, 422),
        ({"verdict": "disagree", "grade": "brittle"}, 422),
        ({"side": "X"}, 422),
        ({"comment": "x" * 1001}, 422),
        ({"comment": "as in pat-0{count} before"}, 422),
        ({"comment": "see ACC-0{count}"}, 422),
        ({"screening": "1"}, 409),
        ({"screening": "1; DROP TABLE"}, 409),
    ],
)
def test_invalid_feedback_or_a_comment_that_names_the_patient_is_refused(
    values: dict[str, str], status: int, site: ReviewSite
) -> None:
    made = site.record.delivered("normal", "normal")
    number = f"{site.record.count:03d}"
    values = {name: value.replace("{count}", number) for name, value in values.items()}
    client = site.client("reader")
    before = len(saved_feedback(site))

    answer = client.post(
        f"/series/{made}/feedback", data={"csrf": client.csrf(), **form(site, made, **values)}
    )

    assert answer.status_code == status
    assert len(saved_feedback(site)) == before
