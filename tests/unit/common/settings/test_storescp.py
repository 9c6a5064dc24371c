"""Settings of the Storage SCP: both list formats, limits, and the lines for wrong values."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from common.dicomnet.address import DimsePeer
from common.settings.load import load_settings
from common.settings.storescp import StoreScpSettings


@pytest.fixture(autouse=True)
def _no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("text", ["CT_01,PACS", " CT_01 , PACS ", '["CT_01", "PACS"]'])
def test_titles_are_listed_with_commas_or_as_json(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_ALLOWED_CALLING_AETS", text)

    assert load_settings(StoreScpSettings).allowed_calling_aets == ("CT_01", "PACS")


def test_peers_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEOSCREEN_ALLOWED_PEERS", "10.1.2.3,192.168.7.9/24,fe80::/10")

    assert load_settings(StoreScpSettings).allowed_peers == (
        ip_network("10.1.2.3/32"),
        ip_network("192.168.7.0/24"),
        ip_network("fe80::/10"),
    )


def test_peers_of_storage_commitment_are_titles_with_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_COMMITMENT_PEERS", "CT_01=10.1.2.3:104, P=pacs.example:1")

    assert load_settings(StoreScpSettings).commitment_peers == {
        "CT_01": ("10.1.2.3", 104),
        "P": ("pacs.example", 1),
    }


def test_a_source_pacs_is_an_address_of_either_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "OSTEOSCREEN_SOURCE_PACS",
        '{"kind": "dimse", "ae_title": "PACS", "host": "pacs", "port": 104}',
    )

    source = load_settings(StoreScpSettings).source_pacs

    assert isinstance(source, DimsePeer)
    assert (source.host, source.tls) == ("pacs", False)


@pytest.mark.parametrize("wrong", ["{", "[]", '{"kind": "dimse", "port": 0}', "pacs"])
def test_a_wrong_source_pacs_is_one_line(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_SOURCE_PACS", wrong)
    with pytest.raises(SystemExit):
        load_settings(StoreScpSettings)

    line = capsys.readouterr().err
    assert line.startswith("OSTEOSCREEN_SOURCE_PACS: ")
    assert line.count("\n") == 1


def test_the_token_of_a_source_pacs_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(
        "OSTEOSCREEN_SOURCE_PACS",
        '{"kind": "dicomweb", "url": "https://pacs", "token": "sesame", "tokn": 1}',
    )
    with pytest.raises(SystemExit):
        load_settings(StoreScpSettings)

    line = capsys.readouterr().err
    assert "tokn" in line
    assert "sesame" not in line


def test_defaults_accept_all_senders_within_limits() -> None:
    settings = load_settings(StoreScpSettings)

    assert (settings.ae_title, settings.port) == ("OSTEOSCREEN", 11112)
    assert settings.allowed_calling_aets == settings.allowed_peers == ()
    assert settings.quiet_seconds == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AE_TITLE", "SEVENTEEN_CHARS_X"),
        ("AE_TITLE", "BACK\\SLASH"),
        ("AE_TITLE", "   "),
        ("AE_TITLE", " LEADING"),
        ("PORT", "0"),
        ("PORT", "many"),
        ("ALLOWED_PEERS", "10.1.2.3.4"),
        ("ALLOWED_PEERS", "[1"),
        ("ALLOWED_CALLING_AETS", "GOOD,MUCH_TOO_LONG_A_TITLE"),
        ("MAX_ASSOCIATIONS", "0"),
        ("MAX_ASSOCIATIONS_PER_PEER", "0"),
        ("IDLE_SECONDS", "0"),
        ("COMMITMENT_PEERS", "CT_01"),
        ("COMMITMENT_PEERS", "CT_01=10.1.2.3"),
        ("COMMITMENT_PEERS", "CT_01=10.1.2.3:0"),
        ("STALL_SECONDS", "inf"),
        ("MIN_KB_PER_SECOND", "-1"),
        ("MIN_FREE_MB", "-1"),
        ("QUIET_SECONDS", "0"),
        ("QUIET_SECONDS", "nan"),
    ],
)
def test_a_wrong_value_stops_with_a_line_that_names_it(
    name: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(f"OSTEOSCREEN_{name}", value)

    with pytest.raises(SystemExit) as stop:
        load_settings(StoreScpSettings)

    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"OSTEOSCREEN_{name}")


def stow(monkeypatch: pytest.MonkeyPatch, **values: str) -> StoreScpSettings:
    for name, value in {"PORT": "8443", **values}.items():
        monkeypatch.setenv(f"OSTEOSCREEN_STOW_{name}", value)
    return load_settings(StoreScpSettings)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "10.1.2.3", "pacs"])  # noqa: S104
def test_stow_rs_without_a_token_does_not_start(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        stow(monkeypatch, HOST=host)

    assert capsys.readouterr().err.startswith("OSTEOSCREEN_STOW_PORT: ")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_stow_rs_on_loopback_needs_no_token(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stow(monkeypatch, HOST=host).stow_token is None


def test_the_token_of_stow_rs_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("sesame\n")

    settings = stow(monkeypatch, TOKEN_FILE=str(tmp_path / "token"))

    assert settings.stow_token is not None
    assert settings.stow_token.get_secret_value() == "sesame"
    assert "sesame" not in repr(settings)
    with pytest.raises(SystemExit):
        stow(monkeypatch, TOKEN="se same")  # noqa: S106
    assert "se same" not in capsys.readouterr().err
