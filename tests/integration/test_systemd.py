"""Units of systemd and their drop-ins, by ``systemd-analyze`` and by their own commands.

Not covered: a host whose first process is systemd.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import make_url

from common.settings.load import load_settings
from common.settings.review import ReviewSettings, Role
from common.settings.worker import WorkerSettings
from db import roles
from tests.support.deployment import DEPLOY, ROOT, SERVICES, UNITS, run
from tests.support.servers import require_tool

DROP_INS = sorted((DEPLOY / "systemd/drop-in").iterdir())


# On the scale of systemd from 0, least exposed, to 10.
MAX_EXPOSURE = 2.0


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
@pytest.mark.covers("T16")
def test_unit_is_valid_and_little_exposed(unit: Path, tmp_path: Path) -> None:
    systemd_analyze = require_tool("systemd-analyze", "systemd")
    # The programs are not installed here; the rest of the line is checked.
    text = re.sub(
        r"/opt/osteoscreen/venv/bin/\w+", shutil.which("true") or "", unit.read_text()
    )
    (tmp_path / unit.name).write_text(text)

    output = run(systemd_analyze, "verify", "--man=no", unit.name, cwd=tmp_path)
    security = run(
        systemd_analyze, "security", "--offline=true", f"./{unit.name}", cwd=tmp_path
    )

    assert output == ""
    exposure = re.search(r"exposure level for .*: ([\d.]+)", security)
    assert exposure is not None
    assert float(exposure[1]) <= MAX_EXPOSURE


def test_units_are_valid_with_every_drop_in(tmp_path: Path) -> None:
    systemd_analyze = require_tool("systemd-analyze", "systemd")
    for unit in UNITS:
        text = re.sub(
            r"/opt/osteoscreen/venv/bin/\w+", shutil.which("true") or "", unit.read_text()
        )
        (tmp_path / unit.name.replace("@", "@gpu")).write_text(text)
    for drop_in in DROP_INS:
        for name in re.findall(r"osteoscreen-\w+@?", drop_in.read_text()):
            folder = tmp_path / f"{name.replace('@', '@gpu')}.service.d"
            folder.mkdir(exist_ok=True)
            shutil.copy(drop_in, folder)

    output = run(
        systemd_analyze,
        "verify",
        "--man=no",
        *(unit.name.replace("@", "@gpu") for unit in UNITS),
        cwd=tmp_path,
    )

    assert output == ""
    added = {folder.name for folder in tmp_path.glob("*.d")}
    assert added == {
        f"osteoscreen-{name}.service.d" for name in ("storescp", "worker@gpu", "review")
    }


@pytest.mark.parametrize(
    ("instance", "given", "port"),
    [("1", "", "9471"), ("10", "", "9480"), ("gpu", "", ""), ("gpu", "9500", "9500")],
)
def test_each_worker_has_a_metrics_port(instance: str, given: str, port: str) -> None:
    unit = (DEPLOY / "systemd/osteoscreen-worker@.service").read_text()
    script, arguments = re.findall(r"ExecStart=/bin/sh -c '(.*)' sh (.*)", unit)[0]
    # As systemd expands it; the program is replaced.
    script = script.replace("$$", "$").replace("%%", "%")
    script = script.replace(
        "/opt/osteoscreen/venv/bin/celery", "echo $OSTEOSCREEN_METRICS_PORT"
    )
    environment = {"OSTEOSCREEN_METRICS_PORT": given} if given else {}

    output = subprocess.check_output(
        ["/bin/sh", "-c", script, "sh", arguments.replace("%i", instance)],
        env=environment,
        text=True,
    )

    arguments = f"-A worker worker --loglevel=INFO --hostname={instance}@%h"
    assert output.strip() == f"{port} {arguments}".strip()


def test_documentation_of_units_is_installed() -> None:
    named = {
        path
        for unit in UNITS
        for path in re.findall(r"Documentation=file:/opt/osteoscreen/(\S+)", unit.read_text())
    }

    assert named
    assert "cp -r docs /opt/osteoscreen/" in (ROOT / "docs/deployment.md").read_text()
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_the_steps_for_secrets_make_files_that_the_services_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs/deployment.md").read_text()
    steps = r"```sh\n(\(\ncd /etc/osteoscreen/secrets.*?\n\))\n```"
    (script,) = re.findall(steps, page, re.DOTALL)
    secrets, programs = tmp_path / "secrets", tmp_path / "bin"
    secrets.mkdir()
    programs.mkdir()
    for name in ("runuser", "systemctl"):  # PostgreSQL and Redis are not touched here
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/calls\n')
        (programs / name).chmod(0o755)
    script = script.replace("/etc/osteoscreen/secrets", str(secrets))
    script = script.replace("/etc/redis/redis.conf", str(tmp_path / "redis.conf"))

    subprocess.run(
        ["bash", "-eu", "-c", script],
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        check=True,
    )

    found = {path.name: path.read_text() for path in secrets.iterdir()}
    named = {name for unit in UNITS for name in CREDENTIAL.findall(unit.read_text())}
    assert set(found) == named
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o600}
    logins = [roles.read_login(found[f"database_url_{one}"]) for one in SERVICES]
    assert {one.name for one in logins} == set(roles.RIGHTS)
    for name in ("DATABASE_URL", "BROKER_URL", "DESTINATIONS", "REVIEW_TOKENS"):
        monkeypatch.setenv(f"OSTEOSCREEN_{name}_FILE", str(secrets / name.lower()))
    password = make_url(load_settings(WorkerSettings).database_url).password
    assert load_settings(WorkerSettings).destinations == ()
    assert load_settings(ReviewSettings).review_tokens[0].role is Role.OPERATOR
    assert f"PASSWORD '{password}'" in (tmp_path / "calls").read_text()
    broker = (tmp_path / "redis.conf").read_text().split()[1]
    assert found["broker_url"] == f"redis://:{broker}@localhost:6379/0"


CREDENTIAL = re.compile(r"LoadCredential=\w+:/etc/osteoscreen/secrets/(\w+)")
