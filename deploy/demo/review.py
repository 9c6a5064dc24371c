"""The review page with the results of the demo."""

import json
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.demo.console import console
from deploy.demo.embedded import free_port
from deploy.demo.processes import REVIEW, Process, child_environment

START_SECONDS = 180.0


@contextmanager
def open_review(
    database_url: str, spool_dir: Path, check: Callable[[], None]
) -> Iterator[tuple[str, str]]:
    """Serve the page for the block; yield its address and a token for this run.

    ``check`` raises if the demo itself has failed.
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
                    raise RuntimeError(f"the review page did not start:\n{process.log}")
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/", token


def wait_for_reader(database_url: str, spool_dir: Path, check: Callable[[], None]) -> None:
    """Serve the page until Ctrl-C, after printing its address and token."""
    with open_review(database_url, spool_dir, check) as (address, token):
        console.print(f"\nreview page: [bold]{address}[/]   token: [bold]{token}[/]")
        console.print("Ctrl-C ends the demo and deletes what it stored", style="dim")
        try:
            while True:
                check()
                time.sleep(0.5)
        except KeyboardInterrupt:
            console.print("stopping")
