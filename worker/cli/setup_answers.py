"""Answers of a set-up: from the options of the command, or asked at a terminal."""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.settings.files import PREFIX
from common.settings.load import wrong_values
from common.settings.review import ReviewSettings
from common.settings.storescp import StoreScpSettings
from common.settings.worker import WorkerSettings

DESTINATION = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<ae>[^@]+)@(?P<host>.+):(?P<port>\d+)")
SETTINGS = {
    "calling_aets": "ALLOWED_CALLING_AETS",
    "peers": "ALLOWED_PEERS",
    "ae_title": "AE_TITLE",
    "port": "PORT",
    "time_zone": "TIME_ZONE",
}
"""Setting by option."""
QUESTIONS = {
    "calling_aets": "AE titles that may send, separated by commas",
    "peers": "addresses or networks that may send, separated by commas (empty: all)",
    "ae_title": "AE title of osteoscreen",
    "port": "DICOM port of osteoscreen",
}
SERVICES = (StoreScpSettings, WorkerSettings, ReviewSettings)

Ask = Callable[[str], str]


class SetupError(Exception):
    """The set-up cannot go on; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the operator chose; None: keep what is there, or make it on this host."""

    settings: Mapping[str, str]
    """By variable."""
    destinations: str | None = None
    database_url: str | None = None
    broker_url: str | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``osteoscreenctl setup``."""
    parser.add_argument("--calling-aets", metavar="AET,…", help=QUESTIONS["calling_aets"])
    parser.add_argument("--peers", metavar="ADDRESS,…", help=QUESTIONS["peers"])
    parser.add_argument("--ae-title", metavar="AET", help=QUESTIONS["ae_title"])
    parser.add_argument("--port", help=QUESTIONS["port"])
    parser.add_argument("--time-zone", metavar="ZONE", help="such as Europe/Berlin")
    parser.add_argument(
        "--destination",
        action="append",
        metavar="[NAME=]AET@HOST:PORT",
        help="PACS that receives the results, or its JSON object (docs/operations.md);"
        " may be repeated, and replaces those of before",
    )
    parser.add_argument(
        "--database-url-file",
        type=Path,
        metavar="FILE",
        help="URL of the owner of the tables, who has CREATEROLE; without it the database is"
        " created in the PostgreSQL of this host",
    )
    parser.add_argument(
        "--broker-url-file",
        type=Path,
        metavar="FILE",
        help="URL of Redis; without it the Redis of this host gets a password",
    )


def read_answers(
    options: argparse.Namespace, current: Mapping[str, str], ask: Ask | None
) -> Answers:
    """Return the answers; ask for what no option says if there is a terminal.

    Raises SetupError for a file that cannot be read, or a destination in another form.
    """
    settings = {}
    for option, setting in SETTINGS.items():
        given, name = getattr(options, option), PREFIX + setting
        if given is None and ask is not None and option in QUESTIONS:
            given = _asked(ask, QUESTIONS[option], current.get(name, ""))
        if given is not None:
            settings[name] = given.strip()
    destinations = options.destination
    if destinations is None and ask is not None:
        question = "PACS for the results, as AET@HOST:PORT (empty: as it is)"
        destinations = [answer] if (answer := ask(f"{question}: ").strip()) else None
    return Answers(
        settings,
        None if destinations is None else destinations_json(destinations),
        _read(options.database_url_file),
        _read(options.broker_url_file),
    )


def destinations_json(given: Sequence[str]) -> str:
    """Return the value of ``DESTINATIONS`` for options of the command."""
    return json.dumps([_destination(text.strip()) for text in given])


def check_answers(answers: Answers, current: Mapping[str, str]) -> None:
    """Raise SetupError with one line for each wrong value, before anything is written."""
    merged = {name: value for name, value in {**current, **answers.settings}.items() if value}
    values = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in merged.items()
        if name.startswith(PREFIX)
    }
    secrets = {
        "destinations": answers.destinations,
        "database_url": answers.database_url,
        "broker_url": answers.broker_url,
    }
    values |= {name: value for name, value in secrets.items() if value is not None}
    lines = [
        line
        for service in SERVICES
        for line in wrong_values(
            service, {k: v for k, v in values.items() if k in service.model_fields}
        )
    ]
    if lines:
        raise SetupError("\n".join(dict.fromkeys(lines)))
    senders = ("allowed_calling_aets", "allowed_peers", "allow_any_calling_ae")
    if not any(values.get(name) for name in senders):
        raise SetupError(
            "no permitted sender: name the AE titles or addresses of the PACS by --calling-aets"
            " or --peers (the Storage SCP does not start without)"
        )


def _asked(ask: Ask, question: str, current: str) -> str | None:
    """Return an answer, None if it is empty: the current value stays."""
    shown = f" [{current}]" if current else ""
    return ask(f"{question}{shown}: ").strip() or None


def _destination(text: str) -> object:
    if text.startswith("{"):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise SetupError(f"--destination {text}: not JSON ({error})") from None
    match = DESTINATION.fullmatch(text)
    if match is None:
        raise SetupError(f"--destination {text}: expected [NAME=]AET@HOST:PORT or JSON")
    return {
        "name": match["name"] or match["ae"].lower(),
        "kind": "dimse",
        "ae_title": match["ae"],
        "host": match["host"],
        "port": int(match["port"]),
    }


def _read(path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or type(error).__name__
        raise SetupError(f"{path}: {problem}") from None
