"""Write ``docs/images/review.png``: the review page with the results of the demo.

``python -m docs.generate.review_picture``
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

PICTURE = Path(__file__).resolve().parents[2] / "docs/images/review.png"
WINDOW = (1280, 1160)

console = Console(highlight=False)


def take_picture(database_url: str, spool_dir: Path, check: Callable[[], None]) -> None:
    """Save a screenshot of the worklist in a real browser."""
    with (
        open_review(database_url, spool_dir, check) as (address, token),
        open_chromium(_stop) as chromium,
    ):
        width, height = WINDOW
        page = chromium.new_page(viewport={"width": width, "height": height})
        page.goto(address)
        page.get_by_label("Your token").fill(token)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("row", name="Osteoporosis").first.wait_for()
        page.get_by_text("6 series, 1 used").click()
        page.screenshot(path=PICTURE)
        console.print(f"{PICTURE} written")


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
