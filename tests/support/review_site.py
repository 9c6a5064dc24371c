"""``python -m worker review`` on a database of its own, and HTTP clients for it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from db.session import make_engine, make_sessions
from deploy.demo.embedded import free_port
from deploy.demo.processes import REVIEW, Process
from tests.support.databases import create_service_roles, service_url
from tests.support.review_record import ReviewRecord
from tests.support.servers import child_environment, wait_for

TOKENS = {
    role: f"{role}-token-for-the-tests-of-the-page-only"
    for role in ("viewer", "reader", "operator")
}


@dataclass(frozen=True)
class ReviewSite:
    """A running review page; ``record`` writes to its database and spool."""

    url: str
    record: ReviewRecord
    process: Process
    clients: ExitStack
    settings: Mapping[str, object]

    def client(self, role: str | None = None) -> "ReviewClient":
        """Return a client that is logged in with this role, or an anonymous one."""
        client = self.clients.enter_context(ReviewClient(self.url))
        if role is not None:
            client.log_in(TOKENS[role])
        return client


class ReviewClient(requests.Session):
    """An HTTP session that takes paths of the site and follows no redirects."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.site_url = url

    def request(self, method: str, url: str, **values: Any) -> requests.Response:  # type: ignore[override]
        """Send a request; ``url`` is a path of the site."""
        values["allow_redirects"] = False
        return super().request(method, self.site_url + url, timeout=30, **values)

    def csrf(self, path: str = "/") -> str:
        """Return the CSRF token of the forms on a page."""
        page = self.get(path)
        match = re.search(r'name="csrf" value="(\w+)"', page.text)
        assert match, page.text
        return match[1]

    def log_in(self, token: str) -> requests.Response:
        """Post the form of the login page."""
        return self.post("/login", data={"csrf": self.csrf("/login"), "token": token})


@contextmanager
def running_site(
    database_url: str,
    spool_dir: Path,
    folder: Path,
    settings: Mapping[str, object] | None = None,
) -> Iterator[ReviewSite]:
    """Run the review page, with the rights of its role, until the block ends."""
    port = free_port()
    create_service_roles(database_url)
    values = {
        "DATABASE_URL": service_url(database_url, "review"),
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

        def is_ready() -> bool:
            assert process.running, f"the review page ended:\n{process.log}"
            return "review_ready" in process.log

        wait_for(is_ready, "the review page", seconds=180)
        record = ReviewRecord(make_sessions(engine), spool_dir)
        yield ReviewSite(f"http://127.0.0.1:{port}", record, process, stack, values)
