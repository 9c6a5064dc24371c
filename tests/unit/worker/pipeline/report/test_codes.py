"""Covered: every written code is listed with its public source, or is private and declared."""

import pytest

from tests.support.report_cases import AT, CASES, built
from tests.support.report_codes import LOCAL_CODE_SEQUENCES, public_meanings
from worker.pipeline.capture.parametric_map import build_parametric_map
from worker.pipeline.report.codes import PRIVATE, PRIVATE_SCHEME, PUBLIC

KNOWN = {(code.scheme_designator, code.value): code.meaning for code in (*PUBLIC, *PRIVATE)}


@pytest.mark.parametrize("case", CASES)
def test_every_code_that_is_written_is_listed(case: str) -> None:
    screening, capture, report = built(case)
    objects = [capture, report, built(case, "comprehensive")[2]]
    if (numbers := build_parametric_map(screening, at=AT)) is not None:
        objects.append(numbers)

    for ds in objects:
        for element in ds.iterall():
            if element.VR != "SQ" or element.keyword in LOCAL_CODE_SEQUENCES:
                continue
            for item in (item for item in element.value if "CodeMeaning" in item):
                key = item.CodingSchemeDesignator, item.CodeValue
                assert KNOWN.get(key) == item.CodeMeaning, key


def test_public_codes_are_those_of_the_standard_where_it_lists_them() -> None:
    """By pydicom's copy of the tables of PS3.16."""
    unlisted = set()
    for code in PUBLIC:
        meanings = public_meanings().get((code.scheme_designator, code.value))
        if meanings is None:
            unlisted.add(code.value)
        else:
            assert code.meaning in meanings, code

    assert unlisted <= {
        "64859006", "312894000", "29627003", "en-US", "C0034375", "{pixels}", "246205007",
        "370129005", "260753009", "25045-6",
    }  # fmt: skip


def test_private_codes_are_short_and_of_our_scheme() -> None:
    assert {code.scheme_designator for code in PRIVATE} == {PRIVATE_SCHEME}
    assert len({code.value for code in PRIVATE}) == len(PRIVATE)
    # VR SH and LO (PS3.5 6.2)
    assert all(len(code.value) <= 16 and len(code.meaning) <= 64 for code in PRIVATE)
