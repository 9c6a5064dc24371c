"""Who may log in, and the mistakes that must stop the page from starting."""

import json
from ipaddress import ip_network

import pytest

from db.settings import load_settings
from worker.review.roles import Role, highest
from worker.review.settings import ReviewSettings

TOKEN = "a-token-of-twenty-four-and-more"  # noqa: S105


def load(monkeypatch: pytest.MonkeyPatch, **values: object) -> ReviewSettings:
    for name, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value)
        monkeypatch.setenv(f"OSTEOSCREEN_{name}", text)
    return load_settings(ReviewSettings)


def test_tokens_name_people_with_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        REVIEW_TOKENS=[
            {"name": "dr.hip", "role": "reader", "token": TOKEN},
            {"name": "guest", "token": TOKEN + "2"},
        ],
    )

    assert [(one.name, one.role) for one in settings.review_tokens] == [
        ("dr.hip", Role.READER),
        ("guest", Role.VIEWER),
    ]
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ("{", "not JSON"),
        ("{}", "a JSON list is wanted"),
        ([{"name": "a", "token": "geheim"}], "entry 1: token"),
        ([{"name": "a;b", "token": "geheim" + TOKEN}], "entry 1: name"),
        ([{"name": "a", "role": "king", "token": "geheim" + TOKEN}], "entry 1: role"),
        ([{"name": "a", "token": "geheim" + TOKEN}] * 2, "each name once"),
        (
            [
                {"name": "a", "token": "geheim" + TOKEN},
                {"name": "b", "token": "geheim" + TOKEN},
            ],
            "each token once",
        ),
    ],
)
def test_a_wrong_token_entry_is_named_without_its_token(
    tokens: object,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        load(monkeypatch, REVIEW_TOKENS=tokens)

    told = capsys.readouterr().err
    assert said in told
    assert "geheim" not in told


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "review.example"])  # noqa: S104
def test_tokens_never_travel_in_the_clear(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        load(monkeypatch, REVIEW_HOST=host)

    assert "TLS_CERT" in capsys.readouterr().err
    settings = load(monkeypatch, REVIEW_HOST=host, REVIEW_TRUSTED_PROXIES="10.1.2.3, fd00::/8")
    assert settings.review_trusted_proxies == (ip_network("10.1.2.3"), ip_network("fd00::/8"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_tls(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, REVIEW_HOST=host).review_host == host


def test_roles_are_ordered_and_unknown_groups_give_none() -> None:
    assert [[one.allows(other) for other in Role] for one in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert highest([]) is Role.VIEWER
    assert highest(["admins", " READER "]) is Role.READER
