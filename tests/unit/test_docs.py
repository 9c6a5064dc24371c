"""The pages say what is true: settings are those of the code, links lead somewhere."""

import re
from pathlib import Path

import pytest

from deploy.settings_page import settings_page

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
