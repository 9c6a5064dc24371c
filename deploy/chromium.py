"""The distribution's Chromium, without a window: for screenshots and browser tests."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from playwright.sync_api import Browser, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # it does not start as root with one, and sees our own pages only
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def open_chromium(missing: Callable[[str], NoReturn]) -> Iterator[Browser]:
    """A browser until the block ends; ``missing`` is called where there is none."""
    found = [path for path in map(shutil.which, PROGRAMS) if path]
    if not found:
        missing("Chromium is not installed (Debian package chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found[0], headless=True, args=list(FLAGS)
        )
        try:
            yield browser
        finally:
            browser.close()
