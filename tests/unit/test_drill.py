"""The record of the night-shift drill: what it states of a fault, and what it leaves out."""

import re
from pathlib import Path

from tests.drill.__main__ import Row, short, table
from tests.drill.faults import FAULTS

PAGE = Path(__file__).parents[2] / "docs/assurance/drill.md"


def test_record_has_every_fault_found_and_mended() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in PAGE.read_text().splitlines()
        if line.count(" | ") == 5 and not line.startswith("| fault")
    ]

    assert {row[0] for row in rows} == {fault.name for fault in FAULTS}
    shown_by = {fault.name: fault.shown_by for fault in FAULTS}
    assert [row[0] for row in rows if row[1].split(", ")[-1] != shown_by[row[0]]] == []
    seconds = [int(re.findall(r"\d+", row[index])[0]) for row in rows for index in (3, 5)]
    assert max(seconds) <= 300


def test_a_fault_that_is_not_found_is_marked() -> None:
    text = table([Row(FAULTS[0], ("doctor", "alerts", "log"), 300.0, None, None)])

    assert "**not found**" in text
    assert "**never**" in text
    assert short("spool: /a/b/c, port:11112 | x") == "`spool: …/c, port:PORT / x`"
