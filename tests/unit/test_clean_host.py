"""The runner of the units and the next version of a package; the trial: ``make cleanhost``."""

import re
import shutil
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import pytest

from tests.clean_host import run_unit
from tests.clean_host.__main__ import next_version

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))


@pytest.fixture(autouse=True)
def _units_of_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_unit, "UNITS", (ROOT / "deploy/systemd",))


def test_specifiers_credentials_and_command_of_a_worker() -> None:
    unit = run_unit.read_unit("osteoscreen-worker@.service", "2")

    (command,) = unit["ExecStart"]
    words = run_unit.arguments(command, {})
    credentials = "/run/credentials/osteoscreen-worker@2.service"
    assert f"OSTEOSCREEN_DATABASE_URL_FILE={credentials}/database_url" in unit["Environment"]
    assert words[:2] == ["/bin/sh", "-c"]
    assert 'case "$1" in' in words[2]
    assert '"$1@%h"' in words[2]
    assert words[3:] == ["sh", "2"]


def test_braces_are_replaced_by_the_environment_of_the_unit() -> None:
    unit = run_unit.read_unit("osteoscreen-migrate.service", "")

    commands = [
        run_unit.arguments(one, {"CREDENTIALS_DIRECTORY": "/c"}) for one in unit["ExecStart"]
    ]

    assert [one[-1] for one in commands] == ["upgrade", "/c/database_url_review"]


def test_groups_of_system_calls_are_expanded_and_taken_away() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian package systemd)")

    allowed = run_unit.system_calls(["@system-service", "~@privileged @resources"])

    assert {"read", "openat", "socket", "execve", "futex"} <= allowed
    assert not {"setuid", "chown", "mount", "setpriority", "ptrace"} & allowed


FILTERED = """
import ctypes, os, sys
from pathlib import Path
from tests.clean_host import run_unit
run_unit.UNITS = (Path("deploy/systemd"),)
unit = run_unit.read_unit(sys.argv[1], "1")
library = ctypes.CDLL("libseccomp.so.2")
library.seccomp_init.restype = ctypes.c_void_p
allowed = run_unit.system_calls(unit["SystemCallFilter"])
ctypes.CDLL(None).prctl(run_unit.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
run_unit.allow_system_calls(library, allowed, unit.get("SystemCallErrorNumber", [None])[-1])
os.execv(sys.executable, [sys.executable, "-c", PROGRAM])
"""
PROGRAM = "import numpy, os; print(numpy.ones(3).sum()); os.setpriority(0, 0, 1)"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
@pytest.mark.covers("T16")
def test_programs_survive_the_system_calls_that_the_unit_refuses(path: Path) -> None:
    if shutil.which("systemd-analyze") is None or find_library("seccomp") is None:
        pytest.skip("systemd-analyze or libseccomp is not installed")
    script = f"PROGRAM = {PROGRAM!r}\n{FILTERED}"

    done = subprocess.run(
        [sys.executable, "-c", script, path.name], cwd=ROOT, capture_output=True, text=True
    )

    assert done.stdout == "3.0\n"  # numpy places its memory by mbind, which is refused
    assert done.stderr.strip().endswith("PermissionError: [Errno 1] Operation not permitted")


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_directives_that_the_runner_does_not_apply_are_on_the_page(path: Path) -> None:
    page = (ROOT / "docs/deployment.md").read_text()
    sentence = re.search(r"The runner does not apply (.+?)\.", page)
    assert sentence is not None
    named = set(re.findall(r"`(\w+)`", sentence[1]))

    given = {key for key, _ in run_unit.service_lines(path.read_text())}

    assert given - run_unit.APPLIED <= named


def test_next_version_has_the_same_files(tmp_path: Path) -> None:
    for tool in ("dpkg-deb", "ar"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "file").write_text("content")
    (root / "DEBIAN/control").write_text(
        "Package: p\nVersion: 1.0\nArchitecture: all\nMaintainer: m <m@localhost>\n"
        "Description: d\n"
    )
    first, following = tmp_path / "first.deb", tmp_path / "next.deb"
    build = ("dpkg-deb", "--root-owner-group", "-Zzstd", "--build", root, first)
    subprocess.run(build, check=True, capture_output=True)

    next_version(first, following)

    def read(option: str, path: Path) -> str:
        return subprocess.check_output(["dpkg-deb", option, path], text=True)

    assert "Version: 1.0+next\n" in read("--field", following)
    assert read("--contents", following) == read("--contents", first)
