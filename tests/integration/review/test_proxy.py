"""Covered: login by the headers of a reverse proxy, and when they are ignored."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from db.models import Access
from tests.support.review_site import ReviewClient, ReviewSite, running_site

pytestmark = pytest.mark.servers

USER = {"X-Remote-User": "dr.hip", "X-Forwarded-For": "203.0.113.9, 10.9.8.7"}


@pytest.fixture
def proxied(database_url: str, tmp_path: Path) -> Iterator[ReviewSite]:
    """A review page that trusts a proxy on this machine."""
    settings = {"REVIEW_TRUSTED_PROXIES": "127.0.0.1", "REVIEW_USER_HEADER": "X-Remote-User"}
    with running_site(database_url, tmp_path / "spool", tmp_path, settings) as site:
        yield site


@pytest.fixture
def client(proxied: ReviewSite) -> ReviewClient:
    return proxied.client()


def test_the_proxys_user_is_logged_in_and_in_the_access_log(
    proxied: ReviewSite, client: ReviewClient
) -> None:
    answer = client.get("/", headers=USER)

    assert answer.status_code == 200
    assert "dr.hip (viewer)" in answer.text
    with proxied.record.sessions() as session:
        seen = session.scalars(select(Access)).one()
    assert (seen.who, seen.role, seen.address) == ("dr.hip", "viewer", "10.9.8.7")


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        ("", "viewer"),
        ("staff", "viewer"),
        ("admin", "viewer"),
        ("staff, reader", "reader"),
        ("reader,operator", "operator"),
        ("Operator", "operator"),
    ],
)
def test_only_known_groups_give_a_role(groups: str, role: str, client: ReviewClient) -> None:
    answer = client.get("/", headers={**USER, "X-Remote-Role": groups})

    assert f"dr.hip ({role})" in answer.text


def test_a_proxys_request_without_a_user_is_anonymous(client: ReviewClient) -> None:
    assert client.get("/", headers={"X-Remote-User": ""}).status_code == 303
    assert client.get("/").status_code == 303


def test_forms_of_a_proxys_user_need_their_csrf_token(client: ReviewClient) -> None:
    client.headers.update(USER)

    good = client.post("/search", data={"csrf": client.csrf(), "identifier": "x"})
    bad = client.post("/search", data={"csrf": "0" * 64, "identifier": "x"})

    assert (good.status_code, bad.status_code) == (200, 403)


def test_cookies_are_secure_behind_a_proxy(proxied: ReviewSite) -> None:
    cookie = proxied.client().get("/login").headers["set-cookie"]

    assert "Secure" in cookie


@pytest.mark.covers("T2")
def test_headers_of_other_clients_are_ignored(database_url: str, tmp_path: Path) -> None:
    settings = {"REVIEW_TRUSTED_PROXIES": "10.1.2.3", "REVIEW_USER_HEADER": "X-Remote-User"}
    with running_site(database_url, tmp_path / "spool", tmp_path, settings) as site:
        answer = site.client().get("/", headers={**USER, "X-Remote-Role": "operator"})

    assert answer.status_code == 303
