"""Covered: what docs/assurance, the trace and the bills of materials state of the code."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.settings.names import NAMES
from db.models import Base
from docs.generate import assurance_pages, licenses_page, sbom, trace_page

ROOT = Path(__file__).parents[2]


def test_trace_is_up_to_date_and_each_of_its_items_has_a_test() -> None:
    items, tests = trace_page.items(), trace_page.covering_tests()

    assert len(items) >= 62
    assert {one[0] for one in items} == set("RTH")
    assert set(tests) == set(items)
    # Of a module whose marker holds for all of its tests.
    assert any("broker certificate is verified" in one for one in tests["T4"])
    assert (ROOT / "docs/assurance/trace.md").read_text() == trace_page.trace_page()


def test_licenses_are_those_of_the_locked_packages() -> None:
    rows = licenses_page.PAGE.read_text().partition("|---|---|---|\n")[2].splitlines()
    listed = [tuple(cell.strip() for cell in row.strip("|").split(" | ")) for row in rows]

    expected = licenses_page.packages()
    assert [one[:2] for one in listed] == [(one.name, one.version) for one in expected]
    for name, _, stated in listed:
        found = sbom.license_of(name)
        # A package of another platform is not installed, or was not where the list was made.
        assert found is None or stated in (found.replace("|", "/"), "other platform")
        assert stated != "not stated", name


@pytest.mark.parametrize("image", sbom.IMAGES)
def test_every_image_and_the_package_have_their_bill_of_materials(
    image: str, tmp_path: Path
) -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    stage = dockerfile.partition(f" AS build-{image}\n")[2].partition("\nFROM ")[0]
    commands = [stage, (ROOT / "deploy/deb/build.sh").read_text()]
    command = re.compile(rf"python\"? docs/generate/sbom.py \S+ {image}$", re.MULTILINE)

    written = [bool(command.search(text)) for text in commands]
    # As a file of its own, with nothing but the standard library.
    subprocess.run(
        [sys.executable, "-I", ROOT / "docs/generate/sbom.py", tmp_path, image], check=True
    )

    assert written == [True, image == "worker"]
    assert [one.name for one in tmp_path.iterdir()] == [f"osteoscreen-{image}.cdx.json"]
    assert dockerfile.count("--from=build-") == len(sbom.IMAGES)
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert {"pyproject.toml", "docs/generate/sbom.py", "requirements"} <= sent


@pytest.mark.parametrize("image", sbom.IMAGES)
def test_bill_of_materials_has_every_locked_package(image: str, tmp_path: Path) -> None:
    sbom.write_bills(tmp_path)
    path = tmp_path / f"osteoscreen-{image}.cdx.json"
    bill = json.loads(path.read_text())
    lock = (sbom.REQUIREMENTS / f"{image}.txt").read_text()

    pinned = re.findall(r"^([\w.-]+)(?:\[.*?\])?==", lock, re.MULTILINE)
    assert [one["name"] for one in bill["components"]] == pinned
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    hashes = [one["value"] for part in bill["components"] for one in part["properties"]]
    assert hashes == re.findall(r"sha256:([0-9a-f]{64})", lock)
    before = path.read_bytes()
    sbom.write_bills(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("page", assurance_pages.PAGES, ids=lambda page: page.name)
def test_tables_of_the_pages_are_up_to_date(page: Path) -> None:
    text = page.read_text()

    assert "<!-- table: " in text
    assert assurance_pages.refreshed(text) == text


def test_erasure_reaches_every_table_that_leads_to_a_patient() -> None:
    erased = assurance_pages.erased_tables()
    leads = {
        name
        for name, table in Base.metadata.tables.items()
        if assurance_pages.personal_columns(table)
        or {key.column.table.name for key in table.foreign_keys} & {"series", "study"}
    }

    assert {"series", "audit_message", "dxa_result", "event"} <= leads
    assert leads - set(erased) == set()
    assert [name for name, what in erased.items() if what != "deleted"] == ["access"]


def test_each_transaction_of_ihe_belongs_to_a_claimed_actor_and_names_its_test() -> None:
    text = (ROOT / "docs/assurance/ihe.md").read_text()
    claimed = re.findall(r"^\| .+ \((?:AIR|IOCM|ATNA)\) \| ([^|]+) \|", text, re.MULTILINE)
    rows = re.findall(
        r"^\|([^|]+)\| [^|]+ \[((?:RAD|ITI)-\d+)\] \| [^|]+ \| `(\S+)`: ([^|]+) \|$",
        text,
        re.MULTILINE,
    )

    missing = [
        transaction
        for _, transaction, path, name in rows
        if f"def test_{name.replace(' ', '_')}(" not in (ROOT / path).read_text()
    ]

    assert len(rows) == len(re.findall(r"^\|.*\[(?:RAD|ITI)-\d+\]", text, re.MULTILINE)) > 8
    assert [row[0].strip() for row in rows if row[0].strip()] == claimed
    assert missing == []


def test_settings_named_by_the_pages_exist() -> None:
    named = {
        name
        for page in assurance_pages.PAGES
        for name in re.findall(r"`(?:OSTEOSCREEN_)?([A-Z]+_[A-Z_]+)`", page.read_text())
    }

    assert {"TLS_CERT", "RETENTION_DAYS", "AUDIT_SYSLOG"} <= named
    assert named <= NAMES
