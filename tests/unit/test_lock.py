"""The lock and the range of Python versions fit the packages that are declared.

That each locked package has a wheel for each Python and platform is asked of the index:
``make wheels``.
"""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OLDEST_MINOR = 11  # of Debian 12
PYTHONS = SpecifierSet(PROJECT["requires-python"])
SUPPORTED = [f"3.{minor}" for minor in range(30) if f"3.{minor}" in PYTHONS]


def locked(name: str) -> dict[str, list[Requirement]]:
    """The pinned requirements of a file of requirements/, by name; several with markers."""
    pinned: dict[str, list[Requirement]] = {}
    for line in (ROOT / "requirements" / name).read_text().splitlines():
        if re.match(r"[a-z]", line):
            one = Requirement(line.removesuffix("\\"))
            pinned.setdefault(canonicalize_name(one.name), []).append(one)
    return pinned


def version_of(one: Requirement) -> Version:
    (specifier,) = one.specifier
    assert specifier.operator == "=="
    return Version(specifier.version)


LOCK = locked("lock.txt")
EXTRAS = PROJECT["optional-dependencies"]
DECLARED = [
    Requirement(line)
    for line in (
        *PROJECT["dependencies"],
        *(line for name, lines in EXTRAS.items() if name != "gpu" for line in lines),
    )
    if not line.startswith("osteoscreen[")
]


def test_supported_pythons_are_those_of_the_locked_tensorflow() -> None:
    """TensorFlow is the last to have wheels for a new Python."""
    (tensorflow,) = LOCK["tensorflow"]
    assert metadata.version("tensorflow") == str(version_of(tensorflow))
    classifiers = metadata.metadata("tensorflow").get_all("Classifier") or []
    minors = {
        int(match[1])
        for line in classifiers
        if (match := re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", line))
    }

    assert [f"3.{minor}" for minor in sorted(minors) if minor >= OLDEST_MINOR] == SUPPORTED


@pytest.mark.parametrize("declared", DECLARED, ids=lambda one: one.name)
def test_declared_package_is_locked_in_its_range(declared: Requirement) -> None:
    pinned = LOCK[canonicalize_name(declared.name)]

    for python in SUPPORTED:
        full = {"python_version": python, "python_full_version": f"{python}.99"}
        versions = [
            version_of(one) for one in pinned if one.marker is None or one.marker.evaluate(full)
        ]
        assert len(versions) == 1, python
        assert versions[0] in declared.specifier


@pytest.mark.parametrize("image", ["storescp", "worker", "worker-gpu"])
def test_images_hold_locked_versions_and_none_of_the_demo_servers(image: str) -> None:
    held = locked(f"{image}.txt")
    demo = {canonicalize_name(Requirement(line).name) for line in EXTRAS["demo"]}

    for name, pinned in held.items():
        if name in LOCK:
            assert {version_of(one) for one in pinned} <= {version_of(p) for p in LOCK[name]}
    assert not demo & set(held)


def test_pages_and_workflow_name_the_supported_pythons() -> None:
    words = f"Python {SUPPORTED[0]} to {SUPPORTED[-1]}"
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    matrix = workflow["jobs"]["commands"]["strategy"]["matrix"]

    for page in ("README.md", "docs/start.md"):
        assert words in (ROOT / page).read_text()
    assert [one["python"] for one in matrix["image"]] == SUPPORTED
