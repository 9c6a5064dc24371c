"""Settings of the worker: a wrong one stops the process with one line that helps."""

import json
from pathlib import Path

import pytest

from db.settings import load_settings
from worker.settings import DicomwebDestination, DimseDestination, WorkerSettings

PACS = {"name": "pacs", "kind": "dimse", "ae_title": "PACS", "host": "10.0.0.5", "port": 104}
ARCHIVE = {"name": "archive", "kind": "dicomweb", "url": "https://pacs/dicom-web/"}


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's


def complaint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], destinations: str
) -> str:
    monkeypatch.setenv("OSTEOSCREEN_DESTINATIONS", destinations)
    with pytest.raises(SystemExit) as ended:
        load_settings(WorkerSettings)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_defaults_are_usable() -> None:
    settings = load_settings(WorkerSettings)

    assert settings.destinations == ()
    assert settings.ae_title == "OSTEOSCREEN"
    assert settings.model_dir.name == "shipped"


def test_destinations_of_both_kinds_are_read_from_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "OSTEOSCREEN_DESTINATIONS", json.dumps([PACS, {**ARCHIVE, "token": "secret"}])
    )

    pacs, archive = load_settings(WorkerSettings).destinations

    assert pacs == DimseDestination.model_validate(PACS)
    assert isinstance(archive, DicomwebDestination)
    assert archive.root == "https://pacs/dicom-web"
    assert archive.token is not None
    assert archive.token.get_secret_value() == "secret"


def test_destinations_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEOSCREEN_DESTINATIONS", json.dumps([PACS, ARCHIVE]))
    settings = load_settings(WorkerSettings)

    assert settings.destination("archive").kind == "dicomweb"
    with pytest.raises(KeyError):
        settings.destination("gone")


@pytest.mark.parametrize(
    ("destinations", "words"),
    [
        ("{", ["not JSON"]),
        ("{}", ["a JSON list"]),
        (json.dumps([{**PACS, "port": 70000}]), ["entry 1", "port"]),
        (
            json.dumps([PACS, {**PACS, "name": "b", "ae_title": "X" * 17}]),
            ["entry 2", "ae_title"],
        ),
        (json.dumps([{**PACS, "kind": "ftp"}]), ["entry 1", "'dimse'", "'dicomweb'"]),
        (json.dumps([{**PACS, "prot": 1}]), ["entry 1", "prot", "not permitted"]),
        (json.dumps([{**ARCHIVE, "url": "pacs"}]), ["entry 1", "url"]),
        (json.dumps([PACS, PACS]), ["each name once"]),
        (json.dumps([{**PACS, "ae_title": "   "}]), ["entry 1", "ae_title"]),
    ],
)
def test_a_wrong_destination_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    destinations: str,
    words: list[str],
) -> None:
    line = complaint(monkeypatch, capsys, destinations)

    assert line.startswith("OSTEOSCREEN_DESTINATIONS: ")
    assert line.count("\n") == 1
    assert all(word in line for word in words), line


def test_a_complaint_does_not_print_tokens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = json.dumps([{**ARCHIVE, "token": "secret", "extra": 1}])

    assert "secret" not in complaint(monkeypatch, capsys, wrong)


@pytest.mark.parametrize(
    ("name", "value"),
    [("TLS_CA", "/no/such/file"), ("SWEEP_SECONDS", "inf"), ("RETENTION_DAYS", "99999999")],
)
def test_what_would_fail_only_later_fails_at_the_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"OSTEOSCREEN_{name}", value)
    with pytest.raises(SystemExit):
        load_settings(WorkerSettings)

    assert capsys.readouterr().err.startswith(f"OSTEOSCREEN_{name}: ")


def test_a_token_that_no_header_can_carry_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = complaint(monkeypatch, capsys, json.dumps([{**ARCHIVE, "token": "geheim€"}]))

    assert "token" in text
    assert "geheim" not in text
