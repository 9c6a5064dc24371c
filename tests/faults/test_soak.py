"""Covered: a short run of the soak test (``python -m tests.soak``)."""

from pathlib import Path

import pytest

from tests.soak import run

pytestmark = [pytest.mark.servers, pytest.mark.slow]


def test_a_short_soak_loses_and_duplicates_nothing(tmp_path: Path) -> None:
    report = run(tmp_path, series=12, every_seconds=0.5)

    assert report["series"] == 12
    assert (report["lost"], report["duplicated"], report["unfinished"]) == (0, 0, 0), report
    assert report["failed"] == 0
    assert sum(report["kills"].values()) >= 2
