"""Covered: ``osteoscreenctl`` runs a command as the services run; environment files."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.settings.environment_file import read_environment_file
from worker.cli import as_service

ROOT = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike ``tmp_path``."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@needs_root
def test_a_command_has_user_settings_and_secrets_of_the_services(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = pwd.getpwnam("nobody")
    written = open_folder / "written"
    written.mkdir()
    os.chown(written, account.pw_uid, account.pw_gid)
    monkeypatch.setenv("OSTEOSCREEN_AE_TITLE", "OF_CALLER")
    monkeypatch.setenv("SUDO_USER", "alice")
    script = (
        f"cd {written} && id -un > user && cat $OSTEOSCREEN_DATABASE_URL_FILE > url"
        " && stat -c %a:%U $OSTEOSCREEN_DATABASE_URL_FILE > mode && env > env"
        ' && cat "$OSTEOSCREEN_TLS_KEY" > key && exit 3'
    )
    secrets = {"DATABASE_URL": b"postgresql://x", "TLS_KEY": b"key"}

    status = as_service.run(
        ["/bin/sh", "-c", script], account, {"OSTEOSCREEN_SPOOL_DIR": "/srv/spool"}, secrets
    )

    assert status == 3
    found = {path.name: path.read_text().strip() for path in written.iterdir()}
    environment = dict(line.partition("=")[::2] for line in found["env"].splitlines())
    assert (found["user"], found["url"], found["mode"]) == (
        "nobody", "postgresql://x", "400:nobody"
    )  # fmt: skip
    assert found["key"] == "key"
    assert environment["OSTEOSCREEN_SPOOL_DIR"] == "/srv/spool"
    assert environment["LOGNAME"] == "alice"
    assert "OSTEOSCREEN_AE_TITLE" not in environment
    assert not Path(environment["OSTEOSCREEN_DATABASE_URL_FILE"]).exists()
    assert {path.stat().st_mode & 0o777 for path in written.iterdir()} == {0o640}


@needs_root
def test_the_program_starts_operator_commands(tmp_path: Path) -> None:
    def ctl(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "worker.cli.osteoscreenctl", *arguments],
            capture_output=True, text=True, cwd=ROOT,
        )  # fmt: skip

    config = ("--config", str(tmp_path))
    no_settings = ctl(*config, "--user", "root", "status")
    (tmp_path / "osteoscreen.env").write_text("OSTEOSCREEN_AE_TITLE=\n")
    (tmp_path / "secrets").mkdir()
    for name, user in (("database_url", "owner"), ("database_url_worker", "worker")):
        (tmp_path / "secrets" / name).write_text(f"sqlite://{user}")
    no_user = ctl(*config, "--user", "nosuchuser", "status")
    worker = ctl(*config, "--user", "root", "status")

    assert (no_settings.returncode, no_user.returncode) == (2, 2)
    assert "osteoscreen.env: No such file or directory; see docs" in no_settings.stderr
    assert "no user nosuchuser on this host" in no_user.stderr
    # The setting comes from the file of the secret.
    assert (worker.returncode, worker.stderr) == (2, DATABASE_URL_PROBLEM)
    assert as_service.secret_values(tmp_path / "secrets", "db") == {
        "DATABASE_URL": b"sqlite://owner"
    }
    assert as_service.secret_values(tmp_path / "secrets", "status") == {
        "DATABASE_URL": b"sqlite://worker"
    }


DATABASE_URL_PROBLEM = (
    "OSTEOSCREEN_DATABASE_URL: String should match pattern '^postgresql(\\+psycopg2)?://'\n"
)


def test_environment_files_are_read_as_systemd_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "osteoscreen.env"
    path.write_text(
        "# comment\n; comment\n\nA=1\nB = two words \nC='{\"a\": 1}'\n"
        'D="quoted \\"x\\""\nE={"a": "b"}\nF=one\\\ntwo\nG=\nH=a=b\n'
    )

    assert read_environment_file(path) == {
        "A": "1", "B": "two words", "C": '{"a": 1}', "D": 'quoted "x"', "E": '{"a": "b"}',
        "F": "onetwo", "G": "", "H": "a=b",
    }  # fmt: skip
