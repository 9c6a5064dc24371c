"""The runner of the units, and packages of the trial; the trial itself: ``make cleanhost``."""

import os
import re
import shutil
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import pytest

from db import migrate
from tests.clean_host import run_unit
from tests.clean_host.__main__ import PYTHONS, package_for
from tests.clean_host.next_package import newest_revision, next_version
from tests.fresh.__main__ import RELEASES

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
from db import migrate
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


def build_package(folder: Path, *, minor: int = 11) -> Path:
    """Build a package with the migrations of the repository; skip where that cannot be done."""
    for tool in ("dpkg-deb", "ar"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    root = folder / f"root{minor}"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        "Package: p\nVersion: 1.0\nArchitecture: all\nMaintainer: m <m@localhost>\n"
        f"Depends: python3 (>= 3.{minor}), python3 (<< 3.{minor + 1})\nDescription: d\n"
    )
    versions = root / "opt/osteoscreen/venv/lib/python3.11/site-packages/db/migrations/versions"
    shutil.copytree(ROOT / "db/migrations/versions", versions)
    package = folder / f"p{minor}.deb"
    build = ("dpkg-deb", "--root-owner-group", "-Zzstd", "--build", root, package)
    subprocess.run(build, check=True, capture_output=True)
    return package


def read(option: str, package: Path) -> str:
    return subprocess.check_output(["dpkg-deb", option, package], text=True)


def test_next_version_has_the_same_files_and_one_migration_more(tmp_path: Path) -> None:
    first, following = build_package(tmp_path), tmp_path / "next.deb"

    revision = next_version(first, following)

    assert "Version: 1.0+next\n" in read("--field", following)
    before, after = (read("--contents", one).splitlines() for one in (first, following))
    assert after[:-1] == before
    (head,) = re.findall(r"versions/(\w+)\.py$", after[-1])
    assert (revision, head) == (f"{migrate.newest()}_next", revision)
    assert after[-1].startswith("-rw-r--r-- root/root")
    subprocess.run(["dpkg-deb", "--extract", following, tmp_path / "out"], check=True)
    (script,) = (tmp_path / "out").rglob(f"{revision}.py")
    assert f'down_revision = "{migrate.newest()}"' in script.read_text()


def test_the_package_of_a_release_is_the_newest_for_its_python(tmp_path: Path) -> None:
    old, new = build_package(tmp_path), build_package(tmp_path / "new")
    other = build_package(tmp_path, minor=13)
    os.utime(old, (1, 1))

    assert package_for("bookworm", [old, new, other]) == new
    assert package_for("trixie", [old, new, other]) == other
    assert package_for("trixie", [old, new]) is None
    assert set(PYTHONS) == set(RELEASES)


def test_commands_of_the_trial_are_those_of_the_page() -> None:
    page = (ROOT / "docs/deployment.md").read_text()
    trial = (ROOT / "tests/clean_host/__main__.py").read_text()
    checks = {"osteoscreenctl db", "osteoscreenctl status"}  # of the trial, not of an operator

    typed = set(re.findall(r"osteoscreenctl [a-z]+|apt-get [a-z]+|--[a-z-]+(?= [{M])", trial))
    typed |= set(re.findall(r"install -d [^;\"]+|createdb [^;\"]+|dropdb --force \w+", trial))

    assert len(typed - checks) >= 10
    assert sorted(one for one in typed - checks if one not in page) == []


def test_branches_of_migrations_have_no_newest_revision() -> None:
    scripts = ['revision = "a"\ndown_revision = None\n']
    scripts += [f'revision = "{one}"\ndown_revision = "a"\n' for one in ("b", "c")]

    assert newest_revision(scripts[:2]) == "b"
    with pytest.raises(ValueError, match="too many"):
        newest_revision(scripts)
