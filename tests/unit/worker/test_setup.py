"""Covered: answers of ``osteoscreenctl setup``, and its changes of the settings file."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.settings.environment_file import read_environment_file, with_values
from worker.cli.setup_answers import (
    Answers,
    SetupError,
    add_options,
    check_answers,
    destinations_json,
    read_answers,
)
from worker.cli.setup_files import SetupFiles

SKELETON = Path(__file__).parents[3] / "deploy/systemd/osteoscreen.env"


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(arguments)


def test_values_are_set_in_the_settings_file_and_the_rest_is_kept(tmp_path: Path) -> None:
    before = SKELETON.read_text()
    values = {
        "OSTEOSCREEN_ALLOWED_CALLING_AETS": "PACS,CT ONE",  # commented out in the skeleton
        "OSTEOSCREEN_PORT": "104",
        "OSTEOSCREEN_MIN_AGE": "50",
        "OSTEOSCREEN_SERIES_RULES": '[{"exclude": {"kernel": "B\\\\d $x"}}]',
    }
    path = tmp_path / "osteoscreen.env"

    path.write_text(with_values(before, values))
    again = with_values(path.read_text(), values)
    cleared = with_values(path.read_text(), {"OSTEOSCREEN_PORT": "", "OSTEOSCREEN_HOST": ""})

    assert values.items() <= read_environment_file(path).items()
    assert again == path.read_text()
    kept = [line for line in before.splitlines() if line.startswith("# ")]
    assert [line for line in path.read_text().splitlines() if line.startswith("# ")] == kept
    assert "OSTEOSCREEN_ALLOWED_CALLING_AETS" not in before.replace(
        "#OSTEOSCREEN_ALLOWED_CALLING_AETS", ""
    )
    assert "#OSTEOSCREEN_PORT=\n" in cleared
    assert "OSTEOSCREEN_HOST" not in cleared


def test_answers_come_from_options_or_from_questions() -> None:
    replies: Iterator[str] = iter(["PACS, CT1", "", "", "104", "ARC@10.0.0.5:11112"])
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return next(replies)

    current = {"OSTEOSCREEN_AE_TITLE": "OSTEO"}
    answered = read_answers(options("--time-zone", "UTC"), current, ask)
    given = read_answers(options("--calling-aets", "PACS"), current, None)

    assert answered.settings == {
        "OSTEOSCREEN_ALLOWED_CALLING_AETS": "PACS, CT1",
        "OSTEOSCREEN_PORT": "104",
        "OSTEOSCREEN_TIME_ZONE": "UTC",
    }
    assert json.loads(answered.destinations or "") == [
        {"name": "arc", "kind": "dimse", "ae_title": "ARC", "host": "10.0.0.5", "port": 11112}
    ]
    assert asked[2] == "AE title of osteoscreen [OSTEO]: "
    assert given == Answers({"OSTEOSCREEN_ALLOWED_CALLING_AETS": "PACS"})


def test_destinations_are_addresses_or_json() -> None:
    web = '{"name": "web", "kind": "dicomweb", "url": "https://pacs/dicom-web"}'

    found = json.loads(destinations_json(["archive=PACS@[::1]:104", web]))

    assert [one["name"] for one in found] == ["archive", "web"]
    assert (found[0]["host"], found[0]["port"]) == ("[::1]", 104)
    with pytest.raises(SetupError, match="HOST:PORT or JSON"):
        destinations_json(["10.0.0.5:104"])


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        (Answers({}), "no permitted sender: name the AE titles or addresses"),
        (Answers({"OSTEOSCREEN_PORT": "99999"}), "OSTEOSCREEN_PORT: .*less than or equal"),
        (
            Answers({"OSTEOSCREEN_ALLOWED_PEERS": "10.0.0.5"}, destinations='[{"name": 1}]'),
            "OSTEOSCREEN_DESTINATIONS: .*entry 1",
        ),
        (Answers({}, database_url="mysql://x"), "OSTEOSCREEN_DATABASE_URL"),
    ],
)
def test_wrong_answers_are_named_before_anything_is_written(
    answers: Answers, problem: str
) -> None:
    with pytest.raises(SetupError, match=problem):
        check_answers(answers, {})


def test_right_answers_pass() -> None:
    current = {"OSTEOSCREEN_ALLOWED_CALLING_AETS": "PACS", "OSTEOSCREEN_LOG_FORMAT": "json"}

    check_answers(Answers({}, destinations_json(["PACS@pacs:104"])), current)


def test_secrets_are_for_root_alone_and_replaced_as_a_whole(tmp_path: Path) -> None:
    files = SetupFiles(tmp_path)

    first = files.write_secret("database_url", "postgresql://owner:p@db/x")
    again = files.write_secret("database_url", "postgresql://owner:p@db/x")
    services = files.write_service_urls("postgresql://owner:p@db/x")
    kept = files.service_urls()
    same = files.write_service_urls("postgresql://other:q@db/x")
    moved = files.write_service_urls("postgresql://owner:p@db2/x")

    folder = tmp_path / "secrets"
    assert (first, again) == (True, False)
    assert (services, same) == (["storescp", "worker", "review"], [])
    assert moved == services
    assert all("@db2/x" in url for url in files.service_urls())
    assert kept[1].startswith("postgresql://osteoscreen_worker:")
    assert len({*kept, *files.service_urls()}) == 6  # each with a password of its own
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert sorted(path.name for path in folder.iterdir()) == [
        "database_url",
        *(f"database_url_{name}" for name in ("review", "storescp", "worker")),
    ]
