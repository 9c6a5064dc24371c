"""Covered: patterns that are refused because they could take long, and those of a site."""

import time

import pytest

from common.dicom.patterns import MAX_PATTERN, MAX_TEXT, compile_pattern, matches

SLOW = [
    "(a+)+b", "(a|a)*b", "(a*)*b", "(?:a?){64}b", "(.*a){12}b", "a?" * 32 + "b",
    ".*.*.*.*b", "(?:a{1,9}){1,9}b", "(?=(a+)+b)", "(?P<x>(a|aa)+)b", "((a+)+)b",
    "(?i:(a+)+b)", "(a+?)+?b", "(?(1)a|(a+)+)b", "(?>(a+)+b)",
]  # fmt: skip
USUAL = [
    "lung|thorax|chest", "^CT0[12]$", r"\bcor(onal)?\b", "abd.*ven", "port.*(cor|ax)",
    r"^B[rq]?\d{2}[a-z]*", r"(?<!non-)contrast", "a{3}", r"\d+([.,]\d+)? ?mm", "[^ ]+ mpr",
    "(head|neck|thorax|spine|foot)", "(?:ab){2}", "x*", "ohne km",
]  # fmt: skip


@pytest.mark.parametrize("text", SLOW)
def test_a_pattern_that_could_take_long_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="could take long"):
        compile_pattern(text)


@pytest.mark.parametrize("text", USUAL)
def test_a_usual_pattern_is_accepted(text: str) -> None:
    compile_pattern(text)


@pytest.mark.parametrize("text", ["", "(", "[a", "*", "a{2,1}", "(?P<1>a)", "[[a]", "\\"])
def test_what_is_no_regular_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a regular expression|empty"):
        compile_pattern(text)


def test_a_long_or_deep_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match=str(MAX_PATTERN)):
        compile_pattern("a" * (MAX_PATTERN + 1))
    compile_pattern("(" * 120 + "a" + ")" * 120)


def test_case_is_ignored_and_the_text_is_cut_to_the_length_of_a_dicom_value() -> None:
    assert matches(compile_pattern("lung"), "Thorax LUNG 1.0")
    assert matches(compile_pattern("b"), "a" * (MAX_TEXT - 1) + "b")
    assert not matches(compile_pattern("b"), "a" * MAX_TEXT + "b")


@pytest.mark.parametrize("text", ["a.*a.*b", "(?:a|a|a){3}.*b", "a?" * 12 + "b", "(a|b){8}.*c"])
def test_the_slowest_accepted_patterns_end(text: str) -> None:
    """No limit in seconds: a pattern of exponential time would reach that of the test run."""
    start = time.monotonic()
    matches(compile_pattern(text), "a" * MAX_TEXT)
    assert time.monotonic() >= start
