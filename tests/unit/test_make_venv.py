"""What deploy/make-venv.sh says about interpreters that it cannot use.

Covered with interpreters that only answer questions: too old, too new, missing, without
ensurepip. That it makes an environment is for ``make fresh``.
"""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUPPORTED = "osteoscreen needs Python 3.11 to 3.13: "


def add_program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def add_python(folder: Path, minor: int, *, name: str = "", ensurepip: bool = True) -> None:
    """A program that answers the questions of the script and can do nothing else."""
    answers = f"""case $2 in
        '') exit 0 ;;
        *version_info*) echo {minor} ;;
        'import ensurepip') exit {0 if ensurepip else 1} ;;
        *) exit 9 ;;
    esac"""
    add_program(folder, name or f"python3.{minor}", answers)


def said(programs: Path, venv: Path, python: str = "python3") -> str:
    """What the script prints when it refuses; it leaves nothing behind."""
    for tool in ("sed", "sh"):
        (programs / tool).symlink_to(f"/bin/{tool}")
    done = subprocess.run(
        ["/bin/sh", "deploy/make-venv.sh", venv],
        cwd=ROOT,
        env={"PATH": str(programs), "PYTHON": python},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert not venv.exists()
    return done.stderr


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    add_program(folder, "id", "echo 1000")
    return folder


@pytest.mark.parametrize("minor", [10, 14])
def test_unsupported_python_is_told_which_to_name(
    minor: int, programs: Path, tmp_path: Path
) -> None:
    add_python(programs, minor, name="python3")
    add_python(programs, 12)

    assert said(programs, tmp_path / "venv") == (
        f"python3 is Python 3.{minor}; {SUPPORTED}type make demo PYTHON=python3.12\n"
    )


def test_missing_python_is_told_what_to_install(programs: Path, tmp_path: Path) -> None:
    assert said(programs, tmp_path / "venv") == (
        f"python3 is no Python 3 that runs; {SUPPORTED}install one of them (for example: "
        "uv python install 3.13) and type make demo PYTHON=python3.13\n"
    )


def test_user_who_may_not_install_is_told_the_package(programs: Path, tmp_path: Path) -> None:
    add_python(programs, 13, name="python3", ensurepip=False)

    assert said(programs, tmp_path / "venv") == (
        "python3.13-venv is not installed: type sudo apt-get install python3.13-venv\n"
    )
