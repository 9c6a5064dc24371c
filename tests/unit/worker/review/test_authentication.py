"""Sessions of the authenticator.

Tokens and trusted proxies are tested with the running page (integration/review).
"""

from dataclasses import dataclass

import pytest
from starlette.requests import HTTPConnection

from common.settings.review import ReviewSettings, TokenHolder
from worker.review.authentication import (
    MAX_SESSIONS,
    SESSION_COOKIE,
    SESSION_SECONDS,
    Authenticator,
)

TOKEN = "a-token-of-thirty-two-characters-and-more"  # noqa: S105


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authenticator(clock: Clock) -> Authenticator:
    holder = TokenHolder.model_validate({"name": "dr.hip", "token": TOKEN})
    return Authenticator(ReviewSettings(review_tokens=(holder,)), clock)


def connection(session_id: str | None = None) -> HTTPConnection:
    cookie = f"{SESSION_COOKIE}={session_id}".encode()
    headers = [] if session_id is None else [(b"cookie", cookie)]
    return HTTPConnection(
        {"type": "http", "scheme": "http", "path": "/", "query_string": b"",
         "server": ("x", 80), "client": ("127.0.0.1", 4), "headers": headers}
    )  # fmt: skip


def test_a_session_ends_after_twelve_hours(authenticator: Authenticator, clock: Clock) -> None:
    session_id = authenticator.open_session(TOKEN)

    clock.now = SESSION_SECONDS - 1
    user = authenticator.identify(connection(session_id))
    assert user is not None
    assert user.name == "dr.hip"

    clock.now = SESSION_SECONDS + 1
    assert authenticator.identify(connection(session_id)) is None


def test_an_unknown_token_or_cookie_has_no_session(authenticator: Authenticator) -> None:
    authenticator.open_session(TOKEN)

    assert authenticator.open_session(TOKEN[:-1]) is None
    assert authenticator.open_session("") is None
    assert authenticator.identify(connection()) is None
    assert authenticator.identify(connection("")) is None


def test_the_oldest_session_is_removed_at_the_maximum(authenticator: Authenticator) -> None:
    first = authenticator.open_session(TOKEN)
    for _ in range(MAX_SESSIONS):
        last = authenticator.open_session(TOKEN)

    assert authenticator.identify(connection(first)) is None
    assert authenticator.identify(connection(last)) is not None
