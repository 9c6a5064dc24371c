"""Write ``review.png`` and ``review-phone.png``: the review page with the results of the demo.

``python -m docs.generate.review_picture``; they are in ``docs/images``.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from deploy.demo.chromium import open_chromium
from deploy.demo.review import open_review
from deploy.demo.run import run
from deploy.demo.stack import DemoStack

IMAGES = Path(__file__).resolve().parents[2] / "docs/images"
WINDOWS = {"review.png": (1280, 1160), "review-phone.png": (390, 1390)}
"""Width and height in CSS pixels by picture."""

console = Console(highlight=False)


def take_picture(database_url: str, spool_dir: Path, check: Callable[[], None]) -> None:
    """Save a screenshot of the worklist for each window, in a real browser."""
    with (
        open_review(database_url, spool_dir, check) as (address, token),
        open_chromium(_stop) as chromium,
    ):
        for name, (width, height) in WINDOWS.items():
            page = chromium.new_page(viewport={"width": width, "height": height})
            page.goto(address)
            page.get_by_label("Your token").fill(token)
            page.get_by_role("button", name="Log in").click()
            page.get_by_role("row", name="Osteoporosis").first.wait_for()
            page.get_by_text("6 series, 1 used").click()
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=IMAGES / name)
            console.print(f"{IMAGES / name} written")


def _stop(reason: str) -> NoReturn:
    sys.exit(reason)


def main() -> None:
    """Run the demo and take the picture."""

    def at_end(demo: DemoStack) -> None:
        take_picture(demo.database_url, demo.spool_dir, demo.check)

    with tempfile.TemporaryDirectory(prefix="osteoscreen-picture-") as out:
        sys.exit(run(None, Path(out), None, at_end=at_end))


if __name__ == "__main__":
    main()
