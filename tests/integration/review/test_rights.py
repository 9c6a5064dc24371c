"""Covered: who may read and change what, route by route; cookies, headers, forged forms.

The routes are taken from the application, so that a new one is tested as well.
"""

import itertools
import re

import pytest
import requests
from sqlalchemy import text

from tests.support.review_examples import ExampleSeries
from tests.support.review_routes import ROUTES, filled
from tests.support.review_site import TOKENS, ReviewClient, ReviewSite
from worker.review.middleware import MAX_BODY_BYTES

pytestmark = pytest.mark.servers

CASES = [(method, route.path) for route in ROUTES for method in sorted(route.methods)]
FOR_ANONYMOUS = {("GET", "/health"), ("GET", "/login"), ("POST", "/login")}
FOR_VIEWERS = {("POST", "/login"), ("POST", "/logout"), ("POST", "/search")}
"""Posts that a viewer may send; they change no table in ``TABLES``."""

# Valid values of each form, so that only the role can be the reason for a refusal.
FORMS = {
    "/destinations/pause": {"destination": "pacs"},
    "/destinations/resume": {"destination": "pacs"},
    "/dxa": {"patient_id": "P", "dxa_date": "2026-11-01", "t_score": "-1"},
}
FOR_OPERATORS = ("/export/labels.csv", "/export/feedback.csv")

TABLES = (
    "series", "instance", "screening", "hip", "result_object", "delivery", "event",
    "feedback", "dxa_result", "pause", "held_instance",
)  # fmt: skip


def content(site: ReviewSite) -> dict[str, str | None]:
    """Return a digest of each table except the access log."""
    rows = "md5(string_agg(one::text, '|' ORDER BY one::text))"
    with site.record.sessions() as session:
        return {
            table: session.scalar(text(f"SELECT {rows} FROM {table} one"))  # noqa: S608
            for table in TABLES
        }


@pytest.mark.parametrize(("method", "path"), CASES)
@pytest.mark.covers("T2")
def test_an_anonymous_client_gets_the_login_page_and_changes_nothing(
    method: str, path: str, site: ReviewSite, series: ExampleSeries
) -> None:
    before = content(site)

    answer = site.client().request(method, filled(path, series), data={"csrf": "0" * 64})

    if (method, path) in FOR_ANONYMOUS:
        assert answer.status_code in {200, 403}
    elif method == "GET":
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=/")
        assert answer.text == ""
    else:
        assert answer.status_code == 401
    assert content(site) == before


@pytest.mark.parametrize(("method", "path"), [case for case in CASES if case[0] != "GET"])
@pytest.mark.covers("T17")
def test_a_viewer_changes_nothing(
    method: str, path: str, site: ReviewSite, series: ExampleSeries
) -> None:
    viewer = site.client("viewer")
    form = {"csrf": viewer.csrf(), **FORMS.get(path, {})}
    before = content(site)

    answer = viewer.request(method, filled(path, series), data=form)

    if (method, path) not in FOR_VIEWERS:
        assert answer.status_code == 403
        assert "needs the role" in answer.text
    assert content(site) == before


@pytest.mark.parametrize("path", FOR_OPERATORS)
@pytest.mark.parametrize("role", ["viewer", "reader"])
def test_labels_are_for_operators(role: str, path: str, site: ReviewSite) -> None:
    assert site.client(role).get(path).status_code == 403


@pytest.mark.parametrize(("method", "path"), [case for case in CASES if case[0] != "GET"])
@pytest.mark.parametrize("csrf", ["", "0" * 64, "é"])
@pytest.mark.covers("T7")
def test_a_form_of_another_site_is_refused(
    csrf: str, method: str, path: str, site: ReviewSite, series: ExampleSeries
) -> None:
    operator = site.client("operator")
    before = content(site)

    answer = operator.request(
        method, filled(path, series), data={**FORMS.get(path, {}), "csrf": csrf}
    )

    assert answer.status_code == 403
    assert content(site) == before


@pytest.mark.covers("T7")
def test_the_csrf_token_of_another_session_is_refused(
    site: ReviewSite, series: ExampleSeries
) -> None:
    other, operator = site.client("operator"), site.client("operator")

    answer = operator.post("/search", data={"csrf": other.csrf(), "identifier": "x"})

    assert answer.status_code == 403


@pytest.mark.parametrize("origin", ["cross-site", "same-site"])
def test_a_request_from_another_origin_is_refused(origin: str, site: ReviewSite) -> None:
    operator = site.client("operator")

    answer = operator.post(
        "/search",
        data={"csrf": operator.csrf(), "identifier": "x"},
        headers={"Sec-Fetch-Site": origin},
    )

    assert answer.status_code == 403


def test_every_response_has_the_security_headers(
    site: ReviewSite, series: ExampleSeries
) -> None:
    paths = ("/login", "/", "/nothing", "/series/999999", "/static/review.css")
    for role, path in itertools.product((None, "viewer"), paths):
        headers = site.client(role).get(path).headers

        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
        cache_control = "no-cache" if path.startswith("/static/") else "no-store"
        assert headers["cache-control"] == cache_control


def test_the_session_cookie_is_for_this_site_and_not_for_scripts(site: ReviewSite) -> None:
    client = site.client()

    cookie = client.log_in(TOKENS["viewer"]).headers["set-cookie"]

    session = next(one for one in cookie.split(", ") if one.startswith("osteoscreen_session"))
    assert "HttpOnly" in session
    assert "SameSite=strict" in session
    assert "Path=/" in session


def test_logout_ends_the_session_on_the_server(site: ReviewSite) -> None:
    client = site.client("viewer")
    kept = dict(client.cookies)

    client.post("/logout", data={"csrf": client.csrf()})

    again = requests.get(f"{site.url}/", cookies=kept, allow_redirects=False, timeout=10)
    assert again.status_code == 303


def test_a_wrong_token_is_refused_and_not_repeated(site: ReviewSite) -> None:
    client = site.client()

    answer = client.log_in("a-token-that-is-not-configured")

    assert answer.status_code == 401
    assert "This token is not known" in answer.text
    assert "a-token-that" not in answer.text + site.process.log
    assert client.get("/").status_code == 303


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil", "x"])
def test_the_login_redirects_to_local_pages_only(target: str, site: ReviewSite) -> None:
    client = site.client()
    data = {"csrf": client.csrf("/login"), "token": TOKENS["viewer"], "next": target}

    answer = client.post("/login", data=data)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_the_login_redirects_to_the_requested_page(
    site: ReviewSite, series: ExampleSeries
) -> None:
    client = site.client()
    answer = client.get(f"/series/{series.failed}")
    page = client.get(answer.headers["location"])
    hidden = dict(re.findall(r'name="(csrf|next)" value="([^"]*)"', page.text))

    answer = client.post("/login", data={**hidden, "token": TOKENS["viewer"]})

    assert answer.headers["location"] == f"/series/{series.failed}"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static/..%2fsettings.py",
        "/series/1/picture/..%2f..%2fresult.json",
        "/series/..%2f1",
        "/series/1/picture/-1",
        "/series/99999999999999999999",
        "/series/1/picture/99999999999999999999",
    ],
)
@pytest.mark.covers("T8")
def test_paths_do_not_leave_the_site(
    path: str, site: ReviewSite, series: ExampleSeries
) -> None:
    client = site.client("operator")
    request = requests.Request("GET", site.url + path, cookies=dict(client.cookies)).prepare()
    request.url = site.url + path  # not normalized

    answer = client.send(request, allow_redirects=False, timeout=10)

    assert answer.status_code in {404, 422}
    assert "import" not in answer.text


def test_an_anonymous_upload_is_not_received(site: ReviewSite) -> None:
    client = site.client()

    answer = client.post("/login", data=b"x" * 100_000)

    assert answer.status_code == 413


def test_an_upload_over_the_limit_is_refused(site: ReviewSite) -> None:
    client = site.client("operator")

    answer = client.post("/search", data=b"x" * (MAX_BODY_BYTES + 1))

    assert answer.status_code == 413


def test_there_is_no_schema_and_no_documentation(site: ReviewSite) -> None:
    client: ReviewClient = site.client("operator")

    assert [client.get(path).status_code for path in ("/docs", "/openapi.json")] == [404, 404]
