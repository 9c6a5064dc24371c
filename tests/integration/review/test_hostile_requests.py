"""Covered: values and requests that a browser does not send: NUL, years and numbers out of
range, ambiguous bodies, floods of half requests, wrong tokens; logins in the access log.

The routes are taken from the application, so that a new one is tested as well.
"""

import inspect
import itertools
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from sqlalchemy import select

from common import http_server
from db.models import Access
from tests.support.review_examples import ExampleSeries
from tests.support.review_routes import ROUTES, filled
from tests.support.review_site import TOKENS, ReviewSite, running_site
from tests.support.servers import wait_for
from worker.review.login_limit import MAX_FAILURES
from worker.review.pages.worklist import WorklistQuery

pytestmark = pytest.mark.servers

VALUES = (
    "\0", "a\0b", "0001-01-01", "9999-12-31", "-1", "0", str(2**63), "9" * 400, "1e999", "NaN",
    "\xff\xfe", "'; --", "%", "\u202e", "x" * 3000,
    "MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMCAx",  # the page after 0001-01-01T00:00:00+14:00
    "OTk5OS0xMi0zMVQyMzo1OTo1OS0xNDowMCAx",  # the page after 9999-12-31T23:59:59-14:00
    "MjAyNi0wMS0wMVQwMDowMDowMCA5MjIzMzcyMDM2ODU0Nzc1ODA4",  # the page after series 2^63
)  # fmt: skip
FIELDS = (
    "identifier", "destination", "screening", "verdict", "grade", "side", "comment",
    "patient_id", "issuer_of_patient_id", "dxa_date", "t_score",
)  # fmt: skip
GETS = [route.path for route in ROUTES if "GET" in route.methods and route.path != "/health"]
POSTS = [
    route.path
    for route in ROUTES
    if "POST" in route.methods and route.path not in ("/login", "/logout")
]


def query_fields(path: str) -> set[str]:
    """Return the names of the query string of a route."""
    (route,) = (one for one in ROUTES if one.path == path and "GET" in one.methods)
    names = set(inspect.signature(route.endpoint).parameters)
    return names | set(WorklistQuery.model_fields if "query" in names else ())


@pytest.mark.parametrize("path", GETS)
def test_no_query_fails_the_page(path: str, site: ReviewSite, series: ExampleSeries) -> None:
    client = site.client("operator")

    for name, value in itertools.product(sorted(query_fields(path)), VALUES):
        answer = client.get(f"{filled(path, series)}?{name}={quote(value)}")
        assert answer.status_code < 500, (name, value)
        if "\0" in value:
            assert answer.status_code == 400


@pytest.mark.parametrize("path", POSTS)
def test_no_form_fails_the_page(path: str, site: ReviewSite, series: ExampleSeries) -> None:
    client = site.client("operator")
    csrf = client.csrf()

    for name, value in itertools.product(FIELDS, VALUES):
        form = {"csrf": csrf, "patient_id": "P", "dxa_date": "2026-01-01", "t_score": "-1"}
        answer = client.post(filled(path, series), data={**form, name: value})
        assert answer.status_code < 500, (name, value)


@pytest.mark.parametrize("query", ["reason=%00", "since=0001-01-01", "until=9999-12-31"])
def test_a_value_that_no_series_can_have_is_a_bad_request(query: str, site: ReviewSite) -> None:
    assert site.client("viewer").get(f"/?{query}").status_code == 400


def exchange(site: ReviewSite, request: bytes) -> bytes:
    """Send bytes and return the start of the answer."""
    port = urlsplit(site.url).port or 0
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        return connection.recv(4096)


@pytest.mark.parametrize("length", [b"", b"Content-Length: 4\r\n"])
def test_a_body_in_chunks_is_refused_before_it_is_read(length: bytes, site: ReviewSite) -> None:
    client = site.client("reader")
    cookies = "; ".join(f"{one.name}={one.value}" for one in client.cookies).encode()

    answer = exchange(
        site,
        b"POST /dxa/import HTTP/1.1\r\nHost: x\r\nCookie: " + cookies + b"\r\n" + length
        + b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n",
    )  # fmt: skip

    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("addresses", [1, 8])
@pytest.mark.covers("T13")
def test_the_page_is_served_during_a_flood_of_half_requests(
    addresses: int, site: ReviewSite
) -> None:
    port = urlsplit(site.url).port or 0

    def descriptors() -> int:
        return len(list(Path(f"/proc/{site.process.pid}/fd").iterdir()))

    before = descriptors()
    with ExitStack() as stack:
        for number in range(3 * http_server.MAX_WAITING):
            source = (f"127.0.1.{number % addresses + 1}", 0)
            one = socket.create_connection(("127.0.0.1", port), 30, source_address=source)
            stack.enter_context(one).sendall(b"GET /login HTTP/1.1\r\nX-A: ")
        assert site.client().get("/login").status_code == 200

        most = before + http_server.MAX_WAITING + 8  # and those of this client and the record
        wait_for(lambda: descriptors() <= most, "the other connections to be closed")


@pytest.fixture
def own_site(database_url: str, tmp_path: Path) -> Iterator[ReviewSite]:
    with running_site(database_url, tmp_path / "spool", tmp_path) as site:
        yield site


@pytest.mark.covers("T2")
def test_logins_are_on_record_and_wrong_tokens_are_limited(own_site: ReviewSite) -> None:
    client = own_site.client()
    assert client.log_in(TOKENS["reader"]).status_code == 303
    own_site.client().log_in("wrong-token")

    stranger, begun = own_site.client(), time.monotonic()
    codes = [stranger.log_in("wrong-token").status_code for _ in range(MAX_FAILURES)]
    right = own_site.client().log_in(TOKENS["reader"])

    assert codes == [401] * (MAX_FAILURES - 1) + [429]
    assert time.monotonic() - begun >= MAX_FAILURES - 1  # each refusal takes a second
    assert (right.status_code, "Retry-After" in right.headers) == (429, True)
    with own_site.record.sessions() as session:
        rows = session.execute(
            select(Access.who, Access.role, Access.what, Access.address)
        ).all()
    assert rows[0] == ("test reader", "reader", "login", "127.0.0.1")
    assert rows[1:] == [("", "anonymous", "login_refused", "127.0.0.1")] * MAX_FAILURES
    assert "wrong-token" not in own_site.process.log
