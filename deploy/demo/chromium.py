"""Headless Chromium of the distribution, for screenshots and browser tests."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NoReturn

from playwright.sync_api import Browser, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # does not start as root with one; it opens only our own pages
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NO_GPU = ("--disable-gpu",)
# WebGL on the processor, for viewers.
SOFTWARE_GPU = (
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)


@contextmanager
def open_chromium(
    missing: Callable[[str], NoReturn], graphics: Sequence[str] = NO_GPU
) -> Iterator[Browser]:
    """Open a browser for the block; call ``missing`` if none is installed."""
    found = [path for path in map(shutil.which, PROGRAMS) if path]
    if not found:
        missing("Chromium is not installed (Debian package chromium)")
    with ExitStack() as stack:
        try:
            playwright = stack.enter_context(sync_playwright())
        except Exception as error:  # what playwright raises if its driver ends
            missing(f"playwright does not start; its Node.js needs libatomic1 ({error})")
        browser = playwright.chromium.launch(
            executable_path=found[0], headless=True, args=[*FLAGS, *graphics]
        )
        stack.callback(browser.close)
        yield browser
