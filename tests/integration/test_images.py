"""Packages and modules of the images.

Covered: every module that is copied into an image can be imported with the packages of its
list only; versions; packages that must be absent. Not covered: the images themselves (no
container engine).
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import child_environment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
UV = Path(sys.executable).with_name("uv")
IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        programs = (".__main__", "migrations.env")
        if not module.name.endswith(programs) and ".versions." not in module.name:
            importlib.import_module(module.name)
"""


def versions(name: str) -> dict[str, str]:
    """Return package → version of a list."""
    return dict(PINNED.findall((ROOT / "requirements" / f"{name}.txt").read_text()))


def copied(target: str) -> list[str]:
    """Return the packages that the Dockerfile copies into an image."""
    text = (ROOT / "deploy/Dockerfile").read_text()
    stage = text.split(f"\nFROM base AS {target}\n")[1].split("\nFROM ")[0]
    return re.findall(r"^COPY (\w+)/ ", stage, re.MULTILINE)


@pytest.mark.parametrize("target", ["storescp", "worker"])
@pytest.mark.timeout(600)
def test_image_has_all_packages_that_its_modules_import(target: str, tmp_path: Path) -> None:
    environment = child_environment() | {"PYTHONDONTWRITEBYTECODE": "1"}
    venv, packages = tmp_path / "venv", copied(target)
    python = venv / "bin/python"
    for command in (
        [UV, "venv", "--quiet", "--python", sys.executable, venv],
        [UV, "pip", "install", "--quiet", "--python", python, "--require-hashes",
         "-r", ROOT / "requirements" / f"{target}.txt"],
    ):  # fmt: skip
        subprocess.run([*map(str, command)], env=environment, check=True, timeout=500)
    for package in packages:
        shutil.copytree(ROOT / package, tmp_path / "app" / package)

    done = subprocess.run(
        [python, "-c", IMPORT_ALL, *packages],
        env=environment,
        cwd=tmp_path / "app",
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("target", ["storescp", "worker", "worker-gpu"])
def test_image_has_the_tested_versions(target: str) -> None:
    tested, image = versions("lock"), versions(target)

    # The GPU libraries are not tested.
    other = {
        name: version
        for name, version in image.items()
        if tested.get(name) != version and not name.startswith("nvidia-")
    }

    assert other == {}


def test_the_image_of_the_storage_scp_has_no_tensorflow() -> None:
    assert not {"tensorflow", "keras", "highdicom", "scipy"} & set(versions("storescp"))
