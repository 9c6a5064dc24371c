"""The pages say what is true: settings are those of the code, links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pynetdicom import sop_class

from deploy import conformance_page
from deploy.settings_page import settings_page
from tests.factories import make_screening
from tests.report_cases import AT
from worker.outputs import Form, build_outputs
from worker.pipeline.results import ReasonCode

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("worker/shipped/*.md")]


def test_settings_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs/settings.md").read_text() == settings_page()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())

    missing = [
        link for link in links if "://" not in link and not (page.parent / link).exists()
    ]

    assert missing == []


def test_readme_names_every_make_target_that_it_promises() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    promised = set(re.findall(r"`?make ([a-z]+)", (ROOT / "README.md").read_text()))

    assert promised <= targets


def test_what_the_troubleshooting_page_quotes_is_said_somewhere() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text()
    firsts = re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)
    quoted = {text for first in firsts for text in re.findall(r"`([^`]+)`", first)}
    code = "\n".join(
        path.read_text()
        for room in ("db", "peers", "storescp", "worker")
        for path in (ROOT / room).rglob("*.py")
    )

    unsaid = {text for text in quoted if text not in code and "…" not in text}

    assert len(quoted) > 20
    assert unsaid - {"show UID", "doctor"} == set()


def test_every_reason_is_explained_to_radiologists() -> None:
    page = (ROOT / "docs/radiologist.md").read_text()

    assert [code for code in ReasonCode if f"`{code}`" not in page] == []


def test_site_is_built_and_needs_nothing_from_outside(tmp_path: Path) -> None:
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


def test_conformance_statement_has_every_table_as_the_code_has_it() -> None:
    page = conformance_page.PAGE.read_text()

    assert set(re.findall(r"<!-- table: (\w+) -->", page)) == set(conformance_page.TABLES)
    assert conformance_page.refreshed(page) == page


def test_conformance_statement_names_every_sop_class_that_the_code_speaks() -> None:
    """What a module of ours imports to negotiate it; UIDs are compared, not names."""
    page = conformance_page.PAGE.read_text()
    imported = {
        name
        for folder in ("storescp", "peers", "worker")
        for path in (ROOT / folder).rglob("*.py")
        for block in re.findall(
            r"from pynetdicom.sop_class import (?:\(([^)]*)\)|(.*))", path.read_text()
        )
        for name in re.findall(r"\w+", "".join(block))
    }
    uids = {name: str(getattr(sop_class, name)) for name in imported}

    assert len(uids) > 5
    # The well-known instance of Storage Commitment is no SOP class.
    del uids["StorageCommitmentPushModelInstance"]
    assert {name for name, uid in uids.items() if f"`{uid}`" not in page} == set()


def test_conformance_statement_names_every_object_that_is_sent() -> None:
    page = conformance_page.PAGE.read_text()
    for sop_class_name in ("comprehensive3d", "comprehensive"):
        form = Form(sop_class_name, parametric_map=True)  # type: ignore[arg-type]
        built = build_outputs(make_screening(), at=AT, form=form)
        for ds in (built.sr, built.sc, built.pm):
            assert ds is not None
            assert f"`{ds.SOPClassUID}`" in page
            assert ds.SOPClassUID in conformance_page.SENT
            assert str(ds.SeriesNumber) in page
