"""Settings that all services share: sources, secrets and the lines for wrong values."""

from pathlib import Path

import pytest
from pydantic import Field

from common.settings.base import CommonSettings
from common.settings.files import PREFIX
from common.settings.load import load_settings
from common.settings.names import NAMES


class Listed(CommonSettings):
    """Settings with a value that pydantic-settings parses as JSON."""

    numbers: list[int] = Field([], description="for this test")


@pytest.fixture(autouse=True)
def _no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def error_output(
    cls: type[CommonSettings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    with pytest.raises(SystemExit) as stop:
        load_settings(cls)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_a_wrong_value_is_one_line_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_METRICS_PORT", "70000")

    text = error_output(CommonSettings, monkeypatch, capsys)

    assert text.count("\n") == 1
    assert text.startswith("OSTEOSCREEN_METRICS_PORT: ")
    assert "70000" in text


@pytest.mark.parametrize("name", ["DATABASE_URL", "BROKER_URL"])
def test_a_url_with_a_password_is_not_repeated(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"OSTEOSCREEN_{name}", "mysql://user:geheim@host/db")

    text = error_output(CommonSettings, monkeypatch, capsys)

    assert f"OSTEOSCREEN_{name}" in text
    assert "geheim" not in text


def test_a_list_that_is_not_json_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_NUMBERS", "[1, 2")

    text = error_output(Listed, monkeypatch, capsys)

    assert text.count("\n") == 1
    assert "numbers" in text


def test_the_password_is_not_in_the_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEOSCREEN_DATABASE_URL", "postgresql://user:geheim@host/db")

    assert "geheim" not in repr(load_settings(CommonSettings))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://user:geheim@host:port/db"),
        ("DATABASE_URL", "postgresql://user:geheim@host/db?no_such_option=1"),
        ("BROKER_URL", "redis://:geheim@host:port/0"),
        ("BROKER_URL", "redis://:geheim@host/broker"),
    ],
)
def test_an_invalid_url_is_one_line_without_password(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"OSTEOSCREEN_{name}", value)

    text = error_output(CommonSettings, monkeypatch, capsys)

    assert text.count("\n") == 1
    assert text.startswith(f"OSTEOSCREEN_{name}: ")
    assert "geheim" not in text


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://host/",
        "rediss://:p%40@host:1/3?ssl_cert_reqs=none",
        "redis+socket:///run/r",
    ],
)
def test_broker_urls_are_accepted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEOSCREEN_BROKER_URL", url)

    assert load_settings(CommonSettings).broker_url == url


@pytest.mark.parametrize("query", ["", "ssl_ca_certs=/etc/ca.pem"])
@pytest.mark.covers("T12")
def test_the_certificate_of_a_rediss_server_is_verified(
    query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_BROKER_URL", f"rediss://:p%40@host:1/3?{query}")

    _, _, used = load_settings(CommonSettings).broker_url.partition("?")

    assert used == "&".join(filter(None, (query, "ssl_cert_reqs=required")))


def test_an_env_file_that_is_not_text_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(".env").write_bytes(b"\xff\xfe")

    assert error_output(CommonSettings, monkeypatch, capsys).startswith(".env ")


def test_an_empty_value_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEOSCREEN_SPOOL_DIR", "")
    monkeypatch.setenv("OSTEOSCREEN_METRICS_PORT", "")

    settings = load_settings(CommonSettings)

    assert settings.spool_dir == Path("spool")
    assert settings.metrics_port is None


def test_a_name_that_is_nearly_a_setting_stops_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_ALLOWED_PEER", "10.1.2.3")
    (tmp_path / ".env").write_text("OSTEOSCREEN_QUIET_SECOND=3\n")

    text = error_output(CommonSettings, monkeypatch, capsys)

    assert text.splitlines() == [
        "OSTEOSCREEN_ALLOWED_PEER: unknown setting; did you mean OSTEOSCREEN_ALLOWED_PEERS?",
        "OSTEOSCREEN_QUIET_SECOND: unknown setting; did you mean OSTEOSCREEN_QUIET_SECONDS?",
    ]


def test_a_name_that_resembles_no_setting_is_mentioned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_FLOOR", "7b")

    load_settings(CommonSettings)

    assert capsys.readouterr().err == "OSTEOSCREEN_FLOOR: unknown setting, ignored\n"


def test_the_names_include_shared_settings_and_those_of_each_service() -> None:
    assert {"DATABASE_URL", "QUIET_SECONDS", "MODEL_DIR", "REVIEW_HOST"} <= NAMES
    assert all(name == name.upper() and not name.startswith(PREFIX) for name in NAMES)


def test_a_secret_is_read_from_the_file_that_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://user:geheim@host/db\n")
    monkeypatch.setenv("OSTEOSCREEN_DATABASE_URL_FILE", str(secret))

    assert load_settings(CommonSettings).database_url == "postgresql://user:geheim@host/db"


def test_a_list_is_read_from_a_file_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "numbers").write_text("[1, 2]")
    monkeypatch.setenv("OSTEOSCREEN_NUMBERS_FILE", str(tmp_path / "numbers"))

    assert load_settings(Listed).numbers == [1, 2]


def test_the_environment_takes_precedence_over_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "port").write_text("9000")
    monkeypatch.setenv("OSTEOSCREEN_METRICS_PORT_FILE", str(tmp_path / "port"))
    assert load_settings(CommonSettings).metrics_port == 9000

    monkeypatch.setenv("OSTEOSCREEN_METRICS_PORT", "9001")

    assert load_settings(CommonSettings).metrics_port == 9001


def test_a_file_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_BROKER_URL_FILE", "/no/such/file")

    text = error_output(CommonSettings, monkeypatch, capsys)

    assert text == (
        "OSTEOSCREEN_BROKER_URL_FILE: No such file or directory (got '/no/such/file')\n"
    )


def test_a_bad_secret_in_a_file_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "url").write_text("mysql://user:geheim@host/db")
    monkeypatch.setenv("OSTEOSCREEN_DATABASE_URL_FILE", str(tmp_path / "url"))

    text = error_output(CommonSettings, monkeypatch, capsys)

    assert text.startswith("OSTEOSCREEN_DATABASE_URL: ")
    assert "geheim" not in text
