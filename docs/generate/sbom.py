"""Write bills of materials (CycloneDX 1.5): ``python -m docs.generate.sbom DIR [IMAGE]``.

One file for each image, or for one of them, from its locked packages. Without a time or a random number: the same
lock gives the same file.
"""

import json
import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
IMAGES = ("storescp", "worker", "worker-gpu")
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")

READ_LICENSES = {"contourpy": "BSD-3-Clause", "namex": "Apache-2.0", "scipy": "BSD-3-Clause"}
"""Licenses that the metadata do not state, or state in other words in the version for another
Python, read from the license file of the package."""


@dataclass(frozen=True, slots=True)
class Package:
    """A locked package with the SHA-256 of its files."""

    name: str
    version: str
    sha256: tuple[str, ...]


def locked_packages(path: Path) -> list[Package]:
    """Return the packages of a lock file, in its order."""
    packages = []
    for block in re.split(r"\n(?=[A-Za-z0-9])", path.read_text()):
        pinned = PINNED.match(block)
        if pinned is not None:
            packages.append(Package(pinned[1], pinned[2], tuple(HASH.findall(block))))
    return packages


def license_of(name: str) -> str | None:
    """Return the license that an installed package states, None if it is not installed."""
    if name in READ_LICENSES:
        return READ_LICENSES[name]
    try:
        stated = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    expression = stated.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in stated.get_all("Classifier") or []
        if text.startswith("License :: ") and text != "License :: OSI Approved"
    ]
    if classifiers:
        return ", ".join(classifiers)
    free_text = (stated.get("License") or "").strip().splitlines()
    return free_text[0][:80] if free_text else "not stated"


def bill(image: str, packages: Sequence[Package], version: str) -> Mapping[str, Any]:
    """Return the bill of materials of an image as JSON values."""
    content = json.dumps([(one.name, one.version) for one in packages])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, image + content)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": f"osteoscreen-{image}",
                "version": version,
                "licenses": [{"license": {"id": "MIT"}}],
            }
        },
        "components": [_component(one) for one in packages],
    }


def _component(package: Package) -> dict[str, Any]:
    purl = f"pkg:pypi/{package.name.lower()}@{package.version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        # One for each file of the package, of which an installation uses one.
        "properties": [{"name": "locked:sha256", "value": one} for one in package.sha256],
    }
    stated = license_of(package.name)
    if stated is not None:
        component["licenses"] = [{"license": {"name": stated}}]
    return component


def write_bills(folder: Path, images: Sequence[str] = IMAGES) -> None:
    """Write the bill of each of these images."""
    folder.mkdir(parents=True, exist_ok=True)
    project = (ROOT / "pyproject.toml").read_text()
    found = re.search(r'^version = "(.+)"', project, re.MULTILINE)
    version = found[1] if found else "unknown"
    for image in images:
        packages = locked_packages(REQUIREMENTS / f"{image}.txt")
        text = json.dumps(bill(image, packages, version), indent=1)
        (folder / f"osteoscreen-{image}.cdx.json").write_text(text + "\n")


if __name__ == "__main__":
    write_bills(Path(sys.argv[1]), sys.argv[2:] or IMAGES)
