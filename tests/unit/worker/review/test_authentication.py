"""Sessions of the authenticator.

Tokens and trusted proxies are tested with the running page (integration/review).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection

from common.settings.review import ReviewSettings, Role, TokenHolder
from db.access_log import AuditActor
from worker.review.authentication import (
    SESSION_COOKIE,
    Authenticator,
)
from worker.review.sessions import MAX_SESSIONS, SESSION_SECONDS
from worker.review.token_holders import tokens_path

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
    settings = ReviewSettings(review_tokens=(holder,), review_idle_minutes=720)
    return Authenticator(settings, clock)


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


def entry(name: str, token: str, role: str = "viewer") -> dict[str, str]:
    return {"name": name, "token": token, "role": role}


def write_tokens(path: Path, *entries: dict[str, str]) -> None:
    """Replace the file as a whole, as an administrator or Kubernetes does."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(entries))
    new.replace(path)


@pytest.mark.covers("T2")
def test_a_session_ends_when_idle_and_its_end_is_recorded(clock: Clock) -> None:
    holder = TokenHolder.model_validate(entry("dr.hip", TOKEN, "reader"))
    settings = ReviewSettings(review_tokens=(holder,), review_idle_minutes=30)
    authenticator = Authenticator(settings, clock)
    used, idle = (authenticator.open_session(TOKEN, f"10.0.0.{i}") for i in (1, 2))

    for minute in (29, 58, 87):
        clock.now = 60.0 * minute
        assert authenticator.identify(connection(used)) is not None
    ended = authenticator.take_ended()

    assert authenticator.identify(connection(idle)) is None
    assert [(one.what, one.actor) for one in ended] == [
        ("session_idle", AuditActor("dr.hip", "reader", "10.0.0.2"))
    ]
    assert authenticator.take_ended() == []


@pytest.mark.covers("T2")
def test_tokens_are_replaced_without_a_restart(clock: Clock, tmp_path: Path) -> None:
    path, other = tmp_path / "tokens", TOKEN[::-1]
    write_tokens(path, entry("a", TOKEN), entry("b", other))
    holders = tuple(map(TokenHolder.model_validate, json.loads(path.read_text())))
    authenticator = Authenticator(ReviewSettings(review_tokens=holders), clock, path)
    first, second = authenticator.open_session(TOKEN), authenticator.open_session(other)

    write_tokens(path, entry("a", "n" * 40), entry("b", other, "operator"))

    assert authenticator.open_session(TOKEN) is None
    assert authenticator.open_session("n" * 40) is not None
    assert authenticator.identify(connection(first)) is None  # with its token
    user = authenticator.identify(connection(second))
    assert user is not None
    assert user.role is Role.OPERATOR
    assert [one.what for one in authenticator.take_ended()] == ["session_ended"]


def test_a_wrong_file_of_tokens_changes_nothing(
    clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tokens"
    write_tokens(path, entry("a", TOKEN))
    holders = tuple(map(TokenHolder.model_validate, json.loads(path.read_text())))
    authenticator = Authenticator(ReviewSettings(review_tokens=holders), clock, path)

    for text in ("not JSON", json.dumps([entry("a", "short-secret")])):
        path.write_text(text)
        assert authenticator.open_session(TOKEN) is not None
    path.unlink()

    assert authenticator.open_session(TOKEN) is not None
    output = "".join(capsys.readouterr())
    assert "review_tokens_invalid" in output
    assert "short-secret" not in output


def test_tokens_of_a_variable_have_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tokens_path() is None
    monkeypatch.setenv("OSTEOSCREEN_REVIEW_TOKENS_FILE", "/run/secrets/review_tokens")
    assert tokens_path() == Path("/run/secrets/review_tokens")
    monkeypatch.setenv("OSTEOSCREEN_REVIEW_TOKENS", "[]")
    assert tokens_path() is None
