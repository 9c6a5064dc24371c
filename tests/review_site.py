"""``python -m worker review`` on a database of its own, and clients with and without login."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from db.session import make_engine, make_sessions
from deploy.embedded import free_port
from deploy.processes import REVIEW, Process
from tests.review_record import ReviewRecord
from tests.servers import child_environment, wait_for

TOKENS = {role: f"{role}-token-for-the-tests-only" for role in ("viewer", "reader", "operator")}


@dataclass(frozen=True)
class Site:
    """One review page; ``record`` fills what it shows."""

    url: str
    record: ReviewRecord
    process: Process
    clients: ExitStack

    def client(self, role: str | None = None) -> "Client":
        """Logged in with this role; None: a stranger."""
        client = self.clients.enter_context(Client(self.url))
        if role is not None:
            client.log_in(TOKENS[role])
        return client


class Client(requests.Session):
    """Knows the site's address, follows no redirect, and finds the token of a page's forms."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.site_url = url

    def request(self, method: str, url: str, **values: Any) -> requests.Response:  # type: ignore[override]
        """``url`` : a path of the site."""
        values["allow_redirects"] = False
        return super().request(method, self.site_url + url, timeout=30, **values)

    def csrf(self, path: str = "/") -> str:
        """The token in the forms of that page."""
        page = self.get(path)
        found = re.search(r'name="csrf" value="(\w+)"', page.text)
        assert found, page.text
        return found[1]

    def log_in(self, token: str) -> requests.Response:
        """Post the form of the login page."""
        return self.post("/login", data={"csrf": self.csrf("/login"), "token": token})


@contextmanager
def running_site(
    database_url: str,
    spool_dir: Path,
    folder: Path,
    settings: Mapping[str, object] | None = None,
) -> Iterator[Site]:
    """The page, answering, until the block ends."""
    port = free_port()
    values = {
        "DATABASE_URL": database_url,
        "SPOOL_DIR": spool_dir,
        "REVIEW_PORT": port,
        "REVIEW_TOKENS": [
            {"name": f"test {role}", "role": role, "token": token}
            for role, token in TOKENS.items()
        ],
        **(settings or {}),
    }
    cwd = folder / "cwd"
    cwd.mkdir(parents=True, exist_ok=True)
    process = Process(
        REVIEW,
        environment=child_environment(values),
        log_path=folder / "review.log",
        cwd=cwd,
    )
    engine = make_engine(database_url, application_name="tests")
    with ExitStack() as stack:
        stack.callback(engine.dispose)
        stack.enter_context(process)

        def ready() -> bool:
            assert process.running, f"the review page ended:\n{process.log}"
            return "review_ready" in process.log

        wait_for(ready, "the review page", seconds=180)
        record = ReviewRecord(make_sessions(engine), spool_dir)
        yield Site(f"http://127.0.0.1:{port}", record, process, stack)
