"""Chromium pages for the tests of the review page."""

from dataclasses import dataclass

from playwright.sync_api import Page, expect

from tests.support.review_site import TOKENS, ReviewSite


@dataclass(frozen=True)
class BrowserWindow:
    """A page of the browser and the errors that its console reported."""

    page: Page
    errors: list[str]


def log_in(page: Page, site: ReviewSite, role: str) -> Page:
    """Log in through the login page; return the page, which then shows the worklist."""
    page.goto(f"{site.url}/login")
    page.get_by_label("Your token").fill(TOKENS[role])
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Worklist", level=1)).to_be_visible()
    return page
