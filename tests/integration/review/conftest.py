"""One review page a module, with series in every state."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from deploy.chromium import open_chromium
from deploy.embedded import Postgres
from tests.conftest import fresh_database
from tests.review_site import TOKENS, Site, running_site
from tests.servers import missing


@dataclass(frozen=True)
class Series:
    """Ids of what ``site`` shows."""

    delivered: int
    one_hip: int
    refused: int
    rejected: int
    rejected_early: int
    failed: int
    receiving: int
    queued: int
    screening: int
    without_files: int


@pytest.fixture(scope="module")
def site(
    postgres: Postgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The page over an empty record."""
    folder = tmp_path_factory.mktemp("review")
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(postgres, migrated_template))
        yield stack.enter_context(running_site(url, folder / "spool", folder))


@pytest.fixture(scope="module")
def series(site: Site) -> Series:
    """One series in each state."""
    record = site.record
    return Series(
        delivered=record.delivered("osteoporosis", "osteopenia"),
        one_hip=record.delivered("normal", None),
        refused=record.refused("osteopenia"),
        rejected=record.rejected("METAL", "41 ml of metal in place of the right hip."),
        rejected_early=record.rejected("TOO_FEW_SLICES", "8 slices, 10 are needed."),
        failed=record.failed(),
        receiving=record.receiving(),
        queued=record.received()[0],
        screening=record.screening(),
        without_files=record.delivered("normal", "normal", picture=False, images=0),
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium without a window."""
    with open_chromium(missing) as chromium:
        yield chromium


@dataclass(frozen=True)
class Window:
    """A page of the browser, and what went wrong in it."""

    page: Page
    problems: list[str]

    def open(self, url: str) -> Page:
        """Go there; the page."""
        self.page.goto(url)
        return self.page


@pytest.fixture
def window(browser: Browser) -> Iterator[Window]:
    """1280 × 800; the test fails where the console of the browser complains."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    problems: list[str] = []
    page.on(
        "console", lambda said: problems.append(said.text) if said.type == "error" else None
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield Window(page, problems)
    context.close()
    assert problems == []


def log_in(page: Page, site: Site, role: str) -> Page:
    """Through the login page, as a person does."""
    page.goto(f"{site.url}/login")
    page.get_by_label("Your token").fill(TOKENS[role])
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Worklist", level=1)).to_be_visible()
    return page
