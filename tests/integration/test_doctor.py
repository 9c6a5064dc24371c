"""``python -m worker doctor``: all well on real servers, and a remedy for each failure."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from db.settings import load_settings
from deploy.embedded import Postgres, free_port
from tests.servers import Orthanc, child_environment, running_dcmtk_storescp
from worker.doctor import (
    Check,
    check_broker,
    check_database,
    check_destination,
    check_model,
    check_spool,
    without_password,
)
from worker.settings import DimseDestination, WorkerSettings

pytestmark = pytest.mark.servers

MakeSettings = Callable[..., WorkerSettings]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeSettings:
    monkeypatch.chdir(tmp_path)
    return lambda **changes: load_settings(WorkerSettings).model_copy(update=changes)


def doctor(
    settings: dict[str, object], folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker", "doctor", *arguments],
        env=child_environment(settings),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_all_is_well_with_real_servers(
    child_settings: dict[str, object], model_dir: Path, orthanc: Orthanc, tmp_path: Path
) -> None:
    child_settings |= {
        "MODEL_DIR": model_dir,
        "DESTINATIONS": [orthanc.dimse_destination(), orthanc.dicomweb_destination()],
    }

    ended = doctor(child_settings, tmp_path, "--json")

    checks = json.loads(ended.stdout)
    assert [check["name"] for check in checks if not check["ok"]] == []
    assert ended.returncode == 0
    assert [check["name"] for check in checks] == [
        "database", "broker", "spool", "model", "destination pacs", "destination archive"
    ]  # fmt: skip


def test_every_failure_has_a_remedy_and_no_traceback_or_password(tmp_path: Path) -> None:
    closed = free_port()
    blocked = tmp_path / "a file"
    blocked.write_text("")
    away = {"name": "pacs", "kind": "dimse", "ae_title": "P", "host": "127.0.0.1"}
    web = {"name": "web", "kind": "dicomweb", "url": f"http://127.0.0.1:{closed}/dicom-web"}

    ended = doctor(
        {
            "DATABASE_URL": f"postgresql+psycopg2://me:hidden@127.0.0.1:{closed}/none",
            "BROKER_URL": f"redis://:hidden@127.0.0.1:{closed}/0",
            "SPOOL_DIR": blocked / "spool",
            "MODEL_DIR": tmp_path / "no model",
            "TLS_CA": blocked,  # a file without a certificate
            "DESTINATIONS": [
                {**away, "port": closed},
                {**away, "port": closed, "name": "tls", "tls": True},
                {**away, "port": closed, "name": "lost", "host": "nosuchhost.invalid"},
                {**web, "token": "hidden"},
            ],
        },
        tmp_path,
    )

    assert ended.returncode == 1
    assert ended.stdout.count("│ failed │") == 8
    assert ended.stdout.count("→") == 8
    for output in (ended.stdout, ended.stderr):
        assert "Traceback" not in output
        assert "hidden" not in output
    assert "refused" not in ended.stderr  # the table says it, not a library's log


def failed(check: Check, remedy: str) -> bool:
    return not check.ok and remedy in check.remedy


def test_an_empty_database_is_told_from_one_that_is_away(
    postgres: Postgres, settings: MakeSettings
) -> None:
    empty = check_database(settings(database_url=postgres.url))
    wrong = check_database(settings(database_url=postgres.url.replace(postgres.password, "x")))

    assert failed(empty, "python -m db upgrade")
    assert failed(wrong, "OSTEOSCREEN_DATABASE_URL")
    assert "password" in wrong.detail


def test_a_migrated_database_is_well(database_url: str, settings: MakeSettings) -> None:
    check = check_database(settings(database_url=database_url))

    assert check.ok
    assert "@127.0.0.1" not in check.detail


def test_a_broker_that_is_away(settings: MakeSettings) -> None:
    check = check_broker(settings(broker_url=f"redis://127.0.0.1:{free_port()}/0"))

    assert failed(check, "start Redis")


def test_a_spool_that_does_not_exist_is_made_and_left_clean(tmp_path: Path) -> None:
    assert check_spool(tmp_path / "new").ok
    assert [path for path in (tmp_path / "new").rglob("*") if path.is_file()] == []


def test_an_altered_model_is_not_well(model_dir: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered"
    altered.mkdir()
    for path in model_dir.iterdir():
        (altered / path.name).write_bytes(path.read_bytes())
    weights = bytearray((altered / "weights.npz").read_bytes())
    weights[len(weights) // 2] ^= 1
    (altered / "weights.npz").write_bytes(bytes(weights))

    assert check_model(model_dir).ok
    assert failed(check_model(altered), "OSTEOSCREEN_MODEL_DIR")


def test_a_pacs_that_refuses_us_wants_our_ae_title(
    tmp_path: Path, settings: MakeSettings
) -> None:
    with running_dcmtk_storescp(tmp_path / "received", "--refuse") as port:
        pacs = DimseDestination(
            kind="dimse", name="pacs", ae_title="PACS", host="127.0.0.1", port=port
        )
        check = check_destination(pacs, settings())

    assert failed(check, "enter our AE title OSTEOSCREEN at the PACS")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@host:1/0", "redis://host:1/0"),
        ("postgresql+psycopg2://me:p%40ss@host/db", "postgresql+psycopg2://host/db"),
        ("https://host/dicom-web", "https://host/dicom-web"),
    ],
)
def test_urls_are_shown_without_credentials(url: str, shown: str) -> None:
    assert without_password(url) == shown
