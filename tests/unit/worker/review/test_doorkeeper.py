"""Sessions end; what is compared and whom to trust is tested on the running page."""

from dataclasses import dataclass

import pytest
from starlette.requests import HTTPConnection

from worker.review.doorkeeper import MAX_SESSIONS, SESSION_COOKIE, SESSION_SECONDS, Doorkeeper
from worker.review.settings import ReviewSettings, TokenHolder

TOKEN = "a-token-of-twenty-four-and-more"  # noqa: S105


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def doorkeeper(clock: Clock) -> Doorkeeper:
    holder = TokenHolder.model_validate({"name": "dr.hip", "token": TOKEN})
    return Doorkeeper(ReviewSettings(review_tokens=(holder,)), clock)


def connection(session_id: str | None = None) -> HTTPConnection:
    cookie = f"{SESSION_COOKIE}={session_id}".encode()
    headers = [] if session_id is None else [(b"cookie", cookie)]
    return HTTPConnection(
        {"type": "http", "scheme": "http", "path": "/", "query_string": b"",
         "server": ("x", 80), "client": ("127.0.0.1", 4), "headers": headers}
    )  # fmt: skip


def test_a_session_ends_with_the_working_day(doorkeeper: Doorkeeper, clock: Clock) -> None:
    session_id = doorkeeper.open_session(TOKEN)

    clock.now = SESSION_SECONDS - 1
    visitor = doorkeeper.identify(connection(session_id))
    assert visitor is not None
    assert visitor.name == "dr.hip"

    clock.now = SESSION_SECONDS + 1
    assert doorkeeper.identify(connection(session_id)) is None


def test_a_stranger_has_no_session(doorkeeper: Doorkeeper) -> None:
    doorkeeper.open_session(TOKEN)

    assert doorkeeper.open_session(TOKEN[:-1]) is None
    assert doorkeeper.open_session("") is None
    assert doorkeeper.identify(connection()) is None
    assert doorkeeper.identify(connection("")) is None


def test_sessions_do_not_fill_the_memory(doorkeeper: Doorkeeper) -> None:
    first = doorkeeper.open_session(TOKEN)
    for _ in range(MAX_SESSIONS):
        last = doorkeeper.open_session(TOKEN)

    assert doorkeeper.identify(connection(first)) is None
    assert doorkeeper.identify(connection(last)) is not None
