"""Covered: every page that shows data, in Chromium, with series in every state.

Not covered: other browsers.
"""

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from db.models import Access
from tests.support.review_browser import BrowserWindow, log_in
from tests.support.review_examples import ExampleSeries
from tests.support.review_site import ReviewSite

pytestmark = pytest.mark.servers


@pytest.fixture
def viewer(window: BrowserWindow, site: ReviewSite) -> Page:
    return log_in(window.page, site, "viewer")


def open_series(page: Page, site: ReviewSite, series_id: int) -> Page:
    page.goto(f"{site.url}/series/{series_id}")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Series {series_id}")
    return page


def test_an_empty_worklist_says_so(site: ReviewSite, viewer: Page) -> None:
    with site.record.sessions() as session:
        if session.scalar(select(Access.id).where(Access.what == "series")):
            pytest.skip("another test has already added series")

    expect(viewer.get_by_role("heading", name="No study yet")).to_be_visible()


def test_the_worklist_shows_state_grade_probability_and_picture(
    site: ReviewSite, series: ExampleSeries, viewer: Page
) -> None:
    viewer.goto(site.url)

    expect(viewer.get_by_text("Demonstration model, trained on simulated CT.")).to_be_visible()
    row = viewer.get_by_role("row").filter(has_text="Osteoporosis").first
    expect(row).to_contain_text("Delivered")
    expect(row).to_contain_text("83 %")
    picture = row.locator("img")
    assert picture.evaluate("image => image.complete && image.naturalWidth") == 112
    newest = viewer.get_by_role("row").nth(1)
    expect(newest).to_contain_text("no picture")


def test_the_worklist_is_narrowed_by_filters(
    site: ReviewSite, series: ExampleSeries, viewer: Page
) -> None:
    viewer.goto(site.url)

    viewer.get_by_label("State", exact=True).select_option("Rejected")
    viewer.get_by_label("Rejected for").select_option("METAL")
    viewer.get_by_role("button", name="Filter").click()

    expect(viewer.locator("tbody tr")).to_have_count(1)
    expect(viewer.locator("tbody tr")).to_contain_text("METAL")
    viewer.get_by_label("Grade").select_option("Osteoporosis")
    viewer.get_by_role("button", name="Filter").click()
    expect(viewer.get_by_role("heading", name="No study matches these filters")).to_be_visible()
    viewer.get_by_role("link", name="Clear filters").click()
    viewer.get_by_label("Grade").select_option("Osteoporosis")
    viewer.get_by_label("Scanner").select_option("Siemens Healthineers / SOMATOM Force")
    viewer.get_by_label("Received from").fill("2026-11-23")
    viewer.get_by_label("to", exact=True).fill("2026-11-23")
    viewer.get_by_role("button", name="Filter").click()
    expect(viewer.locator("tbody tr")).to_have_count(1)


@pytest.mark.parametrize("identifier", ["PAT-0001", "ACC-0001", "1.2.826.1", "1.2.826.1.7"])
@pytest.mark.covers("T11")
def test_a_series_is_found_by_each_identifier_without_it_in_addresses_or_logs(
    identifier: str, site: ReviewSite, series: ExampleSeries, viewer: Page
) -> None:
    addresses: list[str] = []
    viewer.on("request", lambda request: addresses.append(request.url))
    viewer.goto(site.url)
    viewer.get_by_label("Patient ID, accession number").fill(identifier)
    viewer.get_by_role("button", name="Find").click()

    expect(viewer.get_by_role("heading", name=f"Series {series.delivered}")).to_be_visible()
    assert not [address for address in addresses if "PAT" in address or "ACC" in address]
    assert "PAT-" not in site.process.log
    assert "ACC-" not in site.process.log


def test_an_unknown_identifier(site: ReviewSite, series: ExampleSeries, viewer: Page) -> None:
    viewer.goto(site.url)
    viewer.get_by_label("Patient ID, accession number").fill("<b>unknown'")
    viewer.get_by_role("button", name="Find").click()

    expect(viewer.get_by_role("heading", name="Nothing found")).to_be_visible()


def test_the_page_of_a_delivered_series(
    site: ReviewSite, series: ExampleSeries, viewer: Page
) -> None:
    page = open_series(viewer, site, series.delivered)

    expect(page.get_by_text("Demonstration model, trained on simulated CT.")).to_be_visible()
    picture = page.get_by_role("img", name="Impression and grades")
    assert picture.evaluate("image => image.complete && image.naturalWidth") == 1024
    hips = page.get_by_role("region", name="Hips")
    expect(hips).to_contain_text("104 ± 37 HU")
    expect(hips).to_contain_text("83 %")
    expect(page.get_by_role("region", name="Warnings")).to_contain_text("80 kVp")
    completion = page.get_by_role("region", name="Completion")
    expect(completion).to_contain_text("no image arrived for the quiet period")
    expect(completion).to_contain_text("3 images")
    deliveries = page.get_by_role("region", name="Deliveries").first
    expect(deliveries).to_contain_text("Report (SR)")
    expect(deliveries).to_contain_text("0x0000")
    history = page.get_by_role("region", name="History").first
    expect(history).to_contain_text("accepted by the destination: pacs, Result picture (SC)")


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("one_hip", ["Not assessable", "2.1 ml of metal at the hip.", "Normal"]),
        ("refused", ["refused", "0x0122", "SOP class not supported"]),
        ("rejected", ["METAL", "There must be no prosthesis", "41 ml of metal"]),
        (
            "rejected_early",
            ["8 slices, 10 are needed.", "rejected before the search for hips"],
        ),
        ("failed", ["MemoryError in load.py:88"]),
        (
            "receiving",
            ["Images are still arriving", "Not complete yet", "1 image in the spool"],
        ),
        ("queued", ["waits for a worker", "There is no result yet."]),
        ("screening", ["A worker is screening the series now.", "running"]),
        ("without_files", ["no longer in the spool", "none: deleted after the retention time"]),
    ],
)
def test_every_state_has_a_page(
    name: str, texts: list[str], site: ReviewSite, series: ExampleSeries, viewer: Page
) -> None:
    page = open_series(viewer, site, getattr(series, name))

    for text in texts:
        expect(page.locator("main")).to_contain_text(text)


@pytest.mark.covers("T10")
def test_access_to_a_series_is_logged(
    site: ReviewSite, series: ExampleSeries, viewer: Page
) -> None:
    open_series(viewer, site, series.failed)

    with site.record.sessions() as session:
        rows = session.scalars(select(Access).where(Access.series_id == series.failed)).all()
        lists = session.scalars(select(Access).where(Access.what == "worklist")).all()
    assert {(row.who, row.role, row.address) for row in rows} == {
        ("test viewer", "viewer", "127.0.0.1")
    }
    assert [one for one in lists if series.failed in one.detail["series"]]


def test_an_unknown_series(site: ReviewSite, viewer: Page, window: BrowserWindow) -> None:
    viewer.goto(f"{site.url}/series/424242")

    expect(viewer.get_by_role("heading", level=1)).to_have_text("Not Found")
    expect(viewer.locator("main")).to_contain_text("no such series on record")
    window.errors.clear()  # the console reports the 404


def test_the_keyboard_reaches_every_control_with_a_visible_focus(
    site: ReviewSite, series: ExampleSeries, viewer: Page
) -> None:
    viewer.goto(site.url)
    reached = []
    for _ in range(24):
        viewer.keyboard.press("Tab")
        reached.append(
            viewer.evaluate(
                "[document.activeElement.id || document.activeElement.innerText,"
                " getComputedStyle(document.activeElement).outlineStyle]"
            )
        )

    names = [name for name, _ in reached]
    assert names[0] == "Skip to the content"
    assert {"identifier", "state", "grade", "reason", "scanner", "Find"} <= set(names)
    seen = {outline for name, outline in reached if "Worklist\n" not in name}  # not <body>
    assert seen == {"solid"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(
    scheme: str, site: ReviewSite, series: ExampleSeries, viewer: Page
) -> None:
    viewer.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for path in ("/", f"/series/{series.delivered}", f"/series/{series.rejected}"):
        viewer.goto(site.url + path)
        assert viewer.evaluate(LOWEST_CONTRAST) >= 4.5  # WCAG 2.2, 1.4.3 (AA)


# The lowest contrast of all elements with text against their background, by WCAG's formula.
LOWEST_CONTRAST = """() => {
  const channels = color => color.match(/[\\d.]+/g).map(Number);
  const luminance = color => {
    const [r, g, b] = channels(color).map(c => c / 255)
      .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const ratios = [...document.querySelectorAll('main *, header *')]
    .filter(one => one.checkVisibility() && !one.closest('svg') && !one.disabled)
    .filter(one => [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
    .map(one => [luminance(getComputedStyle(one).color), luminance(behind(one))])
    .map(([a, b]) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  return Math.min(...ratios);
}"""


def test_a_printed_page_has_the_result_and_no_buttons(
    site: ReviewSite, series: ExampleSeries, viewer: Page
) -> None:
    page = open_series(viewer, site, series.delivered)
    page.emulate_media(media="print")

    expect(page.get_by_role("img", name="Impression and grades")).to_be_visible()
    assert page.locator("button:visible, input:visible").count() == 0


def test_nothing_is_loaded_from_other_hosts(
    site: ReviewSite, series: ExampleSeries, viewer: Page
) -> None:
    addresses: list[str] = []
    viewer.on("request", lambda request: addresses.append(request.url))

    open_series(viewer, site, series.delivered)

    outside = [one for one in addresses if not one.startswith((site.url, "data:"))]
    assert outside == []


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_the_window(
    width: int, site: ReviewSite, series: ExampleSeries, viewer: Page
) -> None:
    viewer.set_viewport_size({"width": width, "height": 800})
    for path in ("/destinations", "/drift", f"/series/{series.delivered}", "/"):
        viewer.goto(site.url + path)
        assert viewer.evaluate("document.documentElement.scrollWidth") <= width, path
    for one in (viewer.get_by_label("Patient ID"), *viewer.locator(".worklist .grade").all()):
        box = one.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_the_page_of_a_series_shows_the_result_of_each_rule(
    site: ReviewSite, series: ExampleSeries, viewer: Page
) -> None:
    open_series(viewer, site, series.rejected_early)
    rules = viewer.get_by_role("region", name="Rules").locator("tbody tr")
    expect(rules.first).not_to_be_visible()

    viewer.get_by_text("show all rules").click()

    passed = rules.filter(has_text="orientation").filter(has_text="oblique by 1.0°.")
    expect(passed).to_contain_text("passed")
    expect(passed).to_contain_text("oblique by at most 20°")
    expect(rules.filter(has_text="at least 10 slices")).to_contain_text(
        "failed: TOO_FEW_SLICES"
    )
    expect(rules.filter(has_text="at least 18 years")).to_contain_text("not reached")


def test_a_result_of_an_earlier_version_has_no_rules(
    site: ReviewSite, series: ExampleSeries, viewer: Page
) -> None:
    open_series(viewer, site, series.delivered)

    expect(viewer.get_by_text("this result was made by an earlier version")).to_be_visible()
