"""Documentation pages: generated parts are up to date; links, paths and names exist.

Not covered: whether the prose is true.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pynetdicom import sop_class

from docs.generate import conformance_page
from docs.generate.settings_page import settings_page
from tests.support.factories import make_screening
from tests.support.report_cases import AT
from worker.pipeline.reasons import ReasonCode
from worker.screening.outputs import OutputOptions, build_outputs

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("worker/shipped/*.md")]


GLOSSARY = ROOT / "docs/glossary.md"
PACKAGES = ("common", "db", "storescp", "worker", "training", "deploy")

# Paths that the pages name and that exist only after a command or in a container.
CREATED = ("deploy/secrets", "deploy/.env")
PATH = re.compile(
    r"(?<![\w/.<>-])(?:common|db|deploy|docs|requirements|storescp|tests|training|worker)/"
    r"[\w./-]*[\w/]"
)
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)


def test_settings_page_is_up_to_date() -> None:
    assert (ROOT / "docs/settings.md").read_text() == settings_page()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())

    missing = [
        link for link in links if "://" not in link and not (page.parent / link).exists()
    ]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_in_code_exist(page: Path) -> None:
    named = {
        path
        for code in CODE.findall(page.read_text())
        for path in PATH.findall(code)
        if not path.startswith(CREATED)
    }

    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_architecture_page_names_classes_and_functions_of_the_files_beside_them() -> None:
    missing = []
    checked = 0
    for row in re.findall(
        r"^\| .*\|$", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE
    ):
        cells = [re.findall(r"`([^`]+)`", cell) for cell in row.strip("|").split("|")]
        files = [ROOT / name for name in cells[-1] if name.endswith(".py")]
        if len(cells) < 3 or not files:
            continue
        code = "\n".join(file.read_text() for file in files)
        for name in cells[-2]:
            checked += 1
            for part in name.split("."):
                if not re.search(rf"^ *(?:class|def|async def) {part}\b", code, re.MULTILINE):
                    missing.append((name, cells[-1]))

    assert checked > 30
    assert missing == []


def test_identifiers_of_the_glossary_are_in_the_code() -> None:
    rows = re.findall(r"^\| [^|]+ \| [^|]+ \| ([^|]*) \| [^|]* \|$", GLOSSARY.read_text(), re.M)
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", " ".join(rows)))))
    in_code = {
        word
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for word in re.findall(r"\w+", path.read_text())
    }

    assert len(words) > 50
    assert words - in_code - set(PACKAGES) == set()


def test_make_targets_of_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    promised = {
        target
        for page in PAGES
        for target in re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(), re.MULTILINE)
    }

    assert {"demo", "test", "sbom", "deb", "cleanhost"} <= promised
    assert promised - targets == set()


def test_texts_quoted_by_the_troubleshooting_page_are_in_the_code() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text()
    firsts = re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)
    quoted = {text for first in firsts for text in re.findall(r"`([^`]+)`", first)}
    modules = [
        path
        for package in ("common", "db", "storescp", "worker")
        for path in (ROOT / package).rglob("*.py")
    ]
    alerts = ROOT / "deploy/monitoring/alerts.yml"
    code = "\n".join(path.read_text() for path in (*modules, alerts))

    missing = {text for text in quoted if text not in code and "…" not in text}

    assert len(quoted) > 20
    assert missing - {"show UID", "doctor"} == set()


def test_radiologist_page_explains_every_reason_code() -> None:
    page = (ROOT / "docs/radiologist.md").read_text()

    assert [code for code in ReasonCode if f"`{code}`" not in page] == []


def test_site_builds_without_external_resources(tmp_path: Path) -> None:
    mkdocs = Path(sys.executable).with_name("mkdocs")

    built = subprocess.run(
        [mkdocs, "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    pages = list(tmp_path.rglob("*.html"))
    fetched = [
        element
        for page in pages
        for element in re.findall(r"<(?:script|link|img)[^>]+https?://[^>]+>", page.read_text())
    ]
    assert len(pages) > 10
    assert fetched == []


def test_tables_of_the_conformance_statement_are_up_to_date() -> None:
    page = conformance_page.PAGE.read_text()

    assert set(re.findall(r"<!-- table: (\w+) -->", page)) == set(conformance_page.TABLES)
    assert conformance_page.refreshed(page) == page


def test_conformance_statement_names_every_negotiated_sop_class() -> None:
    """A SOP class counts as negotiated if a module imports it; UIDs are compared, not names."""
    page = conformance_page.PAGE.read_text()
    imported = {
        name
        for folder in ("common", "storescp", "worker")
        for path in (ROOT / folder).rglob("*.py")
        for block in re.findall(
            r"from pynetdicom.sop_class import (?:\(([^)]*)\)|(.*))", path.read_text()
        )
        for name in re.findall(r"\w+", "".join(block))
    }
    uids = {name: str(getattr(sop_class, name)) for name in imported}

    assert len(uids) > 5
    # The well-known instance of Storage Commitment is not a SOP class.
    del uids["StorageCommitmentPushModelInstance"]
    assert {name for name, uid in uids.items() if f"`{uid}`" not in page} == set()


def test_conformance_statement_names_every_sent_object() -> None:
    page = conformance_page.PAGE.read_text()
    for sop_class_name in ("comprehensive3d", "comprehensive"):
        options = OutputOptions(sop_class_name, parametric_map=True)  # type: ignore[arg-type]
        built = build_outputs(make_screening(), at=AT, options=options)
        for ds in (built.sr, built.sc, built.pm):
            assert ds is not None
            assert f"`{ds.SOPClassUID}`" in page
            assert ds.SOPClassUID in conformance_page.SENT
            assert str(ds.SeriesNumber) in page
