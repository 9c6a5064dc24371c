"""Covered: ``doctor`` tests what the services use: live model, settings, user, owners."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from common.settings.load import load_settings
from common.settings.worker import WorkerSettings
from db.session import Sessions
from tests.support.record import NOW
from tests.support.worker_cli import run_worker
from worker.diagnostics.diagnostic import Diagnostic
from worker.diagnostics.models import check_live_model
from worker.diagnostics.service import check_owners, check_settings, check_user
from worker.models import candidate

pytestmark = pytest.mark.servers

MakeSettings = Callable[..., WorkerSettings]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeSettings:
    monkeypatch.chdir(tmp_path)
    return lambda **changes: load_settings(WorkerSettings).model_copy(update=changes)


def failed(check: Diagnostic, remedy: str) -> bool:
    return not check.ok and remedy in check.remedy


def promoted(sessions: Sessions, spool_dir: Path, model_dir: Path) -> Path:
    with sessions.begin() as session:
        candidate.promote(session, spool_dir, model_dir, actor="operator", now=NOW)
    return next((spool_dir / candidate.MODELS_FOLDER).iterdir())


@pytest.mark.covers("H17")
def test_the_promoted_model_is_tested_and_not_that_of_the_settings(
    database_url: str,
    sessions: Sessions,
    spool_dir: Path,
    model_dir: Path,
    tmp_path: Path,
    settings: MakeSettings,
) -> None:
    live = settings(database_url=database_url, spool_dir=spool_dir, model_dir=tmp_path / "none")
    folder = promoted(sessions, spool_dir, model_dir)
    good = check_live_model(live)
    unused = check_live_model(
        settings(database_url=database_url, spool_dir=spool_dir, model_dir=None)
    )
    (folder / "weights.npz").write_bytes(b"")
    bad = check_live_model(live)

    assert good.ok, good.detail
    assert f"in {folder}, promoted" in good.detail
    assert unused.ok
    assert unused.detail.startswith("none: measurement only, osteoscreen-lumbar")
    assert unused.detail.endswith(f"the promoted model in {folder} is not used")
    assert failed(bad, "python -m worker rollback")
    assert str(folder / "weights.npz") in bad.detail


def test_settings_of_another_process_than_the_services_fail(
    settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_services = tmp_path / "osteoscreen.env"
    of_services.write_text("# comment\nOSTEOSCREEN_SPOOL_DIR=/srv/spool\n")
    defaults = check_settings(settings(), of_services)
    monkeypatch.setenv("OSTEOSCREEN_SPOOL_DIR", "/srv/spool")
    monkeypatch.setenv("OSTEOSCREEN_BROKER_URL", "redis://:hidden@localhost/0")
    same = check_settings(settings(), of_services)

    assert failed(defaults, "osteoscreenctl doctor")
    assert "SPOOL_DIR differ" in defaults.detail
    assert same.ok
    assert same.detail == "BROKER_URL, SPOOL_DIR=/srv/spool; defaults otherwise"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.covers("H17")
def test_root_in_the_spool_of_another_user_is_named_and_refused(
    database_url: str, spool_dir: Path, model_dir: Path, tmp_path: Path
) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    (spool_dir / "models").mkdir()
    os.chown(spool_dir, nobody, -1)
    user, owners = check_user(spool_dir), check_owners(spool_dir)
    settings = {"DATABASE_URL": database_url, "SPOOL_DIR": spool_dir}

    ended = run_worker("promote", model_dir, cwd=tmp_path, settings=settings)
    os.chown(spool_dir / "models", nobody, -1)

    assert failed(user, "osteoscreenctl doctor")
    assert "belongs to nobody" in user.detail
    assert failed(owners, f"chown -R --reference={spool_dir}")
    assert "1 of 1 entries" in owners.detail
    assert check_owners(spool_dir).ok
    assert ended.returncode == 2
    assert "run `osteoscreenctl promote …`" in ended.stderr
    assert [*spool_dir.rglob("*")] == [spool_dir / "models"]
