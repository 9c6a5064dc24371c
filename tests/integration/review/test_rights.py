"""Covered: route by route, who may see and who may change; cookies, headers, forged forms.

The routes are those of the application itself, so that none can be forgotten here.
"""

import itertools
import re

import pytest
import requests
from fastapi.routing import APIRoute
from sqlalchemy import text

from tests.integration.review.conftest import Series
from tests.review_site import TOKENS, Client, Site
from worker.review.app import ROUTERS
from worker.review.gate import MAX_BODY_BYTES

pytestmark = pytest.mark.servers

ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
CASES = [(method, route.path) for route in ROUTES for method in sorted(route.methods)]
FOR_STRANGERS = {("GET", "/health"), ("GET", "/login"), ("POST", "/login")}
FOR_VIEWERS = {("POST", "/login"), ("POST", "/logout"), ("POST", "/search")}
"""What may be posted by somebody who may only look: none of it changes anything."""

# What each posted form needs to be understood, so that it is the role that refuses it.
FORMS = {
    "/destinations/pause": {"destination": "pacs"},
    "/destinations/resume": {"destination": "pacs"},
    "/dxa": {"patient_id": "P", "dxa_date": "2026-11-01", "t_score": "-1"},
}
FOR_OPERATORS = ("/export/labels.csv", "/export/feedback.csv")

TABLES = (
    "series", "instance", "screening", "hip", "result_object", "delivery", "event",
    "feedback", "dxa_result", "pause",
)  # fmt: skip


def filled(path: str, series: Series) -> str:
    """A route's path with values that exist."""
    path = path.replace("{series_id}", str(series.delivered)).replace("{revision}", "1")
    assert "{" not in path
    return path


def content(site: Site) -> dict[str, str | None]:
    """A digest of everything on record but who looked."""
    rows = "md5(string_agg(one::text, '|' ORDER BY one::text))"
    with site.record.sessions() as session:
        return {
            table: session.scalar(text(f"SELECT {rows} FROM {table} one"))  # noqa: S608
            for table in TABLES
        }


@pytest.mark.parametrize(("method", "path"), CASES)
def test_a_stranger_gets_the_login_and_changes_nothing(
    method: str, path: str, site: Site, series: Series
) -> None:
    before = content(site)

    answer = site.client().request(method, filled(path, series), data={"csrf": "0" * 64})

    if (method, path) in FOR_STRANGERS:
        assert answer.status_code in {200, 403}
    elif method == "GET":
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=/")
        assert answer.text == ""
    else:
        assert answer.status_code == 401
    assert content(site) == before


@pytest.mark.parametrize(("method", "path"), [case for case in CASES if case[0] != "GET"])
def test_a_viewer_changes_nothing(method: str, path: str, site: Site, series: Series) -> None:
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
def test_labels_are_for_operators(role: str, path: str, site: Site) -> None:
    assert site.client(role).get(path).status_code == 403


@pytest.mark.parametrize(("method", "path"), [case for case in CASES if case[0] != "GET"])
@pytest.mark.parametrize("csrf", ["", "0" * 64, "é"])
def test_a_form_of_another_site_is_refused(
    csrf: str, method: str, path: str, site: Site, series: Series
) -> None:
    operator = site.client("operator")
    before = content(site)

    answer = operator.request(
        method, filled(path, series), data={**FORMS.get(path, {}), "csrf": csrf}
    )

    assert answer.status_code == 403
    assert content(site) == before


def test_the_token_of_another_session_is_refused(site: Site, series: Series) -> None:
    other, operator = site.client("operator"), site.client("operator")

    answer = operator.post("/search", data={"csrf": other.csrf(), "identifier": "x"})

    assert answer.status_code == 403


@pytest.mark.parametrize("origin", ["cross-site", "same-site"])
def test_a_browser_that_names_another_origin_is_refused(origin: str, site: Site) -> None:
    operator = site.client("operator")

    answer = operator.post(
        "/search",
        data={"csrf": operator.csrf(), "identifier": "x"},
        headers={"Sec-Fetch-Site": origin},
    )

    assert answer.status_code == 403


def test_every_answer_carries_the_headers_of_safety(site: Site, series: Series) -> None:
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
        wanted = "no-cache" if path.startswith("/static/") else "no-store"
        assert headers["cache-control"] == wanted


def test_the_session_cookie_is_for_this_site_and_no_script(site: Site) -> None:
    client = site.client()

    cookie = client.log_in(TOKENS["viewer"]).headers["set-cookie"]

    session = next(one for one in cookie.split(", ") if one.startswith("osteoscreen_session"))
    assert "HttpOnly" in session
    assert "SameSite=strict" in session
    assert "Path=/" in session


def test_logging_out_ends_the_session_for_whoever_kept_its_cookie(site: Site) -> None:
    client = site.client("viewer")
    kept = dict(client.cookies)

    client.post("/logout", data={"csrf": client.csrf()})

    again = requests.get(f"{site.url}/", cookies=kept, allow_redirects=False, timeout=10)
    assert again.status_code == 303


def test_a_wrong_token_opens_nothing_and_is_not_repeated(site: Site) -> None:
    client = site.client()

    answer = client.log_in("a-token-that-nobody-was-given")

    assert answer.status_code == 401
    assert "This token is not known" in answer.text
    assert "a-token-that" not in answer.text + site.process.log
    assert client.get("/").status_code == 303


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil", "x"])
def test_the_login_leads_to_our_own_pages_only(target: str, site: Site) -> None:
    client = site.client()
    data = {"csrf": client.csrf("/login"), "token": TOKENS["viewer"], "next": target}

    answer = client.post("/login", data=data)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_the_login_leads_back_to_the_page_that_was_asked_for(
    site: Site, series: Series
) -> None:
    client = site.client()
    asked = client.get(f"/series/{series.failed}")
    page = client.get(asked.headers["location"])
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
def test_no_path_leads_out(path: str, site: Site, series: Series) -> None:
    client = site.client("operator")
    request = requests.Request("GET", site.url + path, cookies=dict(client.cookies)).prepare()
    request.url = site.url + path  # as it is, not made tidy

    answer = client.send(request, allow_redirects=False, timeout=10)

    assert answer.status_code in {404, 422}
    assert "import" not in answer.text


def test_a_strangers_upload_is_not_received(site: Site) -> None:
    client = site.client()

    answer = client.post("/login", data=b"x" * 100_000)

    assert answer.status_code == 413


def test_an_upload_over_the_limit_is_refused(site: Site) -> None:
    client = site.client("operator")

    answer = client.post("/search", data=b"x" * (MAX_BODY_BYTES + 1))

    assert answer.status_code == 413


def test_what_is_not_asked_for_is_not_there(site: Site) -> None:
    client: Client = site.client("operator")

    assert [client.get(path).status_code for path in ("/docs", "/openapi.json")] == [404, 404]
