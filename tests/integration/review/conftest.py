"""One review page per module, with series in every state, and a browser."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser

from deploy.demo.chromium import open_chromium
from deploy.demo.embedded import Postgres
from tests.support.databases import fresh_database
from tests.support.review_browser import BrowserWindow
from tests.support.review_examples import ExampleSeries, add_example_series
from tests.support.review_site import ReviewSite, running_site
from tests.support.servers import missing


@pytest.fixture(scope="module")
def site(
    postgres: Postgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReviewSite]:
    """A review page with an empty database."""
    folder = tmp_path_factory.mktemp("review")
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(postgres, migrated_template))
        yield stack.enter_context(running_site(url, folder / "spool", folder))


@pytest.fixture(scope="module")
def series(site: ReviewSite) -> ExampleSeries:
    """One series in each state."""
    return add_example_series(site.record)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with open_chromium(missing) as chromium:
        yield chromium


@pytest.fixture
def window(browser: Browser) -> Iterator[BrowserWindow]:
    """A window of 1280 × 800; the test fails if the console reports an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    errors: list[str] = []
    page.on(
        "console",
        lambda message: errors.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield BrowserWindow(page, errors)
    context.close()
    assert errors == []
