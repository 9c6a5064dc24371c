"""Formats of proportions and sizes."""

import pytest

from worker.review import formatting


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (52_428_800, "52.4 MB"),
        (3e9, "3.0 GB"),
    ],
)
def test_sizes(count: float, expected: str) -> None:
    assert formatting.size(count) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (0.0, "0 %"),
        (0.004, "<1 %"),
        (0.5, "50 %"),
        (0.996, ">99 %"),
        (1.0, "100 %"),
    ],
)
def test_only_exactly_0_and_1_are_0_and_100_percent(value: float | None, expected: str) -> None:
    assert formatting.percent(value) == expected
