"""Covered: who is logged in by the headers of a reverse proxy, and when they do not count."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from db.review_models import Access
from tests.review_site import Client, Site, running_site

pytestmark = pytest.mark.servers

USER = {"X-Remote-User": "dr.hip", "X-Forwarded-For": "203.0.113.9, 10.9.8.7"}


@pytest.fixture
def proxied(database_url: str, tmp_path: Path) -> Iterator[Site]:
    """A page that trusts a proxy on this machine."""
    settings = {"REVIEW_TRUSTED_PROXIES": "127.0.0.1"}
    with running_site(database_url, tmp_path / "spool", tmp_path, settings) as site:
        yield site


@pytest.fixture
def client(proxied: Site) -> Client:
    return proxied.client()


def test_the_proxy_says_who_it_is_and_the_record_keeps_it(
    proxied: Site, client: Client
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
def test_only_the_groups_that_we_know_give_rights(
    groups: str, role: str, client: Client
) -> None:
    answer = client.get("/", headers={**USER, "X-Remote-Role": groups})

    assert f"dr.hip ({role})" in answer.text


def test_without_a_user_the_proxy_lets_nobody_in(client: Client) -> None:
    assert client.get("/", headers={"X-Remote-User": ""}).status_code == 303
    assert client.get("/").status_code == 303


def test_forms_of_a_proxys_user_need_their_token(client: Client) -> None:
    client.headers.update(USER)

    good = client.post("/search", data={"csrf": client.csrf(), "identifier": "x"})
    bad = client.post("/search", data={"csrf": "0" * 64, "identifier": "x"})

    assert (good.status_code, bad.status_code) == (200, 403)


def test_behind_a_proxy_cookies_are_for_tls_only(proxied: Site) -> None:
    cookie = proxied.client().get("/login").headers["set-cookie"]

    assert "Secure" in cookie


def test_the_headers_of_anybody_else_do_not_count(database_url: str, tmp_path: Path) -> None:
    settings = {"REVIEW_TRUSTED_PROXIES": "10.0.0.0/8"}
    with running_site(database_url, tmp_path / "spool", tmp_path, settings) as site:
        answer = site.client().get("/", headers={**USER, "X-Remote-Role": "operator"})

    assert answer.status_code == 303
