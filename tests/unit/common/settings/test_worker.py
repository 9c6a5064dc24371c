"""Settings of the worker: destinations, and the lines for wrong values."""

import json
from pathlib import Path

import pytest

from common.settings.load import load_settings
from common.settings.worker import DicomwebDestination, DimseDestination, WorkerSettings

PACS = {"name": "pacs", "kind": "dimse", "ae_title": "PACS", "host": "10.0.0.5", "port": 104}
ARCHIVE = {"name": "archive", "kind": "dicomweb", "url": "https://pacs/dicom-web/"}


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # without the developer's .env


def error_output(
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
    assert settings.model_dir is not None
    assert settings.model_dir.name == "shipped"


def test_none_is_no_model_and_a_folder_of_this_name_is_written_with_its_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_MODEL_DIR", "none")
    without = load_settings(WorkerSettings)
    monkeypatch.setenv("OSTEOSCREEN_MODEL_DIR", "./none")
    folder = load_settings(WorkerSettings)

    assert without.model_dir is None
    assert folder.model_dir == Path("none")


def test_a_candidate_without_a_live_model_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_MODEL_DIR", "none")
    monkeypatch.setenv("OSTEOSCREEN_SHADOW_MODEL_DIR", "candidate")

    with pytest.raises(SystemExit) as ended:
        load_settings(WorkerSettings)

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(
        "OSTEOSCREEN_SHADOW_MODEL_DIR: Value error, a candidate needs a live model"
    )


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


def test_series_rules_are_read_from_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEOSCREEN_SERIES_RULES", '[{"exclude": {"description": "lung"}}]')

    (rule,) = load_settings(WorkerSettings).series_rules

    assert rule.excludes
    assert set(rule.patterns) == {"description"}
    assert WorkerSettings(series_rules=(rule,)).series_rules == (rule,)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("lung", "not JSON"),
        ('{"exclude": {}}', "must be a JSON list"),
        ('[{"exclude": {"description": "("}}]', "rule 1: description: not a regular"),
        ('[{"exclude": {"description": "(a+)+b"}}]', "rule 1: description: the pattern could"),
    ],
)
def test_a_wrong_series_rule_is_one_line_that_names_the_setting(
    value: str,
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_SERIES_RULES", value)

    with pytest.raises(SystemExit) as ended:
        load_settings(WorkerSettings)

    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert line.startswith("OSTEOSCREEN_SERIES_RULES: ")
    assert problem in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MIN_AGE", "17"),
        ("DELIVER", "some"),
        ("REPEAT_MONTHS", "-1"),
        ("OPT_OUT_LIST", "no-such-file"),
    ],
)
def test_a_wrong_screening_policy_is_one_line_that_names_the_setting(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"OSTEOSCREEN_{name}", value)

    with pytest.raises(SystemExit):
        load_settings(WorkerSettings)

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"OSTEOSCREEN_{name}: ")


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
        ("{}", ["must be a JSON list"]),
        (json.dumps([{**PACS, "port": 70000}]), ["entry 1", "port"]),
        (
            json.dumps([PACS, {**PACS, "name": "b", "ae_title": "X" * 17}]),
            ["entry 2", "ae_title"],
        ),
        (json.dumps([{**PACS, "kind": "ftp"}]), ["entry 1", "'dimse'", "'dicomweb'"]),
        (json.dumps([{**PACS, "prot": 1}]), ["entry 1", "prot", "not permitted"]),
        (json.dumps([{**ARCHIVE, "url": "pacs"}]), ["entry 1", "url"]),
        (json.dumps([PACS, PACS]), ["names must be unique"]),
        (json.dumps([{**PACS, "ae_title": "   "}]), ["entry 1", "ae_title"]),
    ],
)
def test_a_wrong_destination_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    destinations: str,
    words: list[str],
) -> None:
    line = error_output(monkeypatch, capsys, destinations)

    assert line.startswith("OSTEOSCREEN_DESTINATIONS: ")
    assert line.count("\n") == 1
    assert all(word in line for word in words), line


def test_an_error_does_not_print_tokens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = json.dumps([{**ARCHIVE, "token": "secret", "extra": 1}])

    assert "secret" not in error_output(monkeypatch, capsys, wrong)


@pytest.mark.parametrize(
    ("name", "value"),
    [("TLS_CA", "/no/such/file"), ("SWEEP_SECONDS", "inf"), ("RETENTION_DAYS", "99999999")],
)
def test_values_that_would_fail_later_fail_at_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"OSTEOSCREEN_{name}", value)
    with pytest.raises(SystemExit):
        load_settings(WorkerSettings)

    assert capsys.readouterr().err.startswith(f"OSTEOSCREEN_{name}: ")


def test_a_token_that_no_header_can_carry_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = error_output(monkeypatch, capsys, json.dumps([{**ARCHIVE, "token": "geheim€"}]))

    assert "token" in text
    assert "geheim" not in text
