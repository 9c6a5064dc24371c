"""Settings of the review page: users, roles, and values that stop the start."""

import json
from ipaddress import ip_network

import pytest

from common.settings.load import load_settings
from common.settings.review import ReviewSettings, Role
from worker.review.users import highest_role

TOKEN = "a-token-of-thirty-two-characters-and-more"  # noqa: S105


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
    ("tokens", "message"),
    [
        ("{", "not JSON"),
        ("{}", "must be a JSON list"),
        ([{"name": "a", "token": "geheim"}], "entry 1: token"),
        ([{"name": "a;b", "token": "geheim" + TOKEN}], "entry 1: name"),
        ([{"name": "a", "role": "king", "token": "geheim" + TOKEN}], "entry 1: role"),
        ([{"name": "a", "token": "geheim" + TOKEN}] * 2, "names must be unique"),
        (
            [
                {"name": "a", "token": "geheim" + TOKEN},
                {"name": "b", "token": "geheim" + TOKEN},
            ],
            "tokens must be unique",
        ),
    ],
)
def test_a_wrong_token_entry_is_named_without_its_token(
    tokens: object,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        load(monkeypatch, REVIEW_TOKENS=tokens)

    output = capsys.readouterr().err
    assert message in output
    assert "geheim" not in output


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "review.example"])  # noqa: S104
def test_tokens_never_travel_in_the_clear(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        load(monkeypatch, REVIEW_HOST=host)

    assert "TLS_CERT" in capsys.readouterr().err
    settings = load(monkeypatch, REVIEW_HOST=host, REVIEW_TRUSTED_PROXIES="10.1.2.3, fd00::8")
    assert settings.review_trusted_proxies == (ip_network("10.1.2.3"), ip_network("fd00::8"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_tls(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, REVIEW_HOST=host).review_host == host


def test_roles_are_ordered_and_unknown_groups_give_none() -> None:
    assert [[one.allows(other) for other in Role] for one in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert highest_role([]) is Role.VIEWER
    assert highest_role(["admins", " READER "]) is Role.READER


@pytest.mark.parametrize(
    "proxies", ["0.0.0.0/0", "::/0", "10.1.2.0/24", "10.1.2.3,10.0.0.0/31"]
)
def test_a_network_of_proxies_is_refused(
    proxies: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        load(monkeypatch, REVIEW_TRUSTED_PROXIES=proxies)

    assert "REVIEW_TRUSTED_PROXIES" in capsys.readouterr().err


def test_no_header_names_a_user_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, REVIEW_TRUSTED_PROXIES="10.1.2.3").review_user_header is None


@pytest.mark.parametrize(("length", "accepted"), [(31, False), (32, True)])
def test_a_token_has_at_least_32_characters(
    length: int, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [{"name": "a", "token": "x" * length}]
    if accepted:
        assert load(monkeypatch, REVIEW_TOKENS=entries).review_tokens
    else:
        with pytest.raises(SystemExit):
            load(monkeypatch, REVIEW_TOKENS=entries)
