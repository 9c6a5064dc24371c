"""The review page over the demo's record, and its picture for the README.

``python -m deploy.demo_review`` runs the demo and writes ``docs/images/review.png``.
"""

import json
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from deploy.embedded import free_port
from deploy.processes import REVIEW, Process, child_environment

START_SECONDS = 180.0
PICTURE = Path(__file__).resolve().parents[1] / "docs/images/review.png"
WINDOW = (1280, 800)

console = Console(highlight=False)


@contextmanager
def open_review(
    database_url: str, spool_dir: Path, check: Callable[[], None]
) -> Iterator[tuple[str, str]]:
    """The page, answering, until the block ends: its address, and a token for this run only.

    ``check`` : raises where the demo itself has come to grief.
    """
    port, token = free_port(), secrets.token_urlsafe(24)
    environment = child_environment(
        {
            "DATABASE_URL": database_url,
            "SPOOL_DIR": str(spool_dir),
            "REVIEW_PORT": str(port),
            "REVIEW_TOKENS": json.dumps([{"name": "demo", "role": "operator", "token": token}]),
        }
    )
    with tempfile.TemporaryDirectory(prefix="osteoscreen-review-") as folder:
        log_path = Path(folder) / "review.log"
        with Process(
            REVIEW, environment=environment, log_path=log_path, cwd=Path(folder)
        ) as process:
            deadline = time.monotonic() + START_SECONDS
            while "review_ready" not in process.log:
                check()
                if not process.running or time.monotonic() > deadline:
                    raise RuntimeError(f"the review page does not come up:\n{process.log}")
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/", token


def wait_for_reader(database_url: str, spool_dir: Path, check: Callable[[], None]) -> None:
    """Print address and token, and leave the page open until Ctrl-C."""
    with open_review(database_url, spool_dir, check) as (address, token):
        console.print(f"\nreview page: [bold]{address}[/]   token: [bold]{token}[/]")
        console.print("Ctrl-C ends the demo and deletes what it stored", style="dim")
        try:
            while True:
                check()
                time.sleep(0.5)
        except KeyboardInterrupt:
            console.print("stopping")


def take_picture(database_url: str, spool_dir: Path, check: Callable[[], None]) -> None:
    """The page of the demo's worst grade, as it looks in a real browser."""
    from deploy.chromium import open_chromium

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
        page.screenshot(path=PICTURE)
        console.print(f"{PICTURE} written")


def _stop(reason: str) -> NoReturn:
    sys.exit(reason)


def main() -> None:
    """Run the demo and take the picture."""
    from deploy.demo import Ward, run

    def look(ward: Ward) -> None:
        take_picture(ward.database_url, ward.spool_dir, ward.check)

    with tempfile.TemporaryDirectory(prefix="osteoscreen-picture-") as out:
        sys.exit(run(None, Path(out), None, look))


if __name__ == "__main__":
    main()
