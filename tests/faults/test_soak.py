"""Covered: short runs of the soak test (``python -m tests.soak``)."""

from pathlib import Path
from typing import Literal

import pytest

from tests.soak.run import Plan, run

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.mark.parametrize(("per", "count"), [("series", 12), ("study", 8)])
def test_a_short_soak_loses_and_duplicates_nothing(
    per: Literal["series", "study"], count: int, tmp_path: Path
) -> None:
    report = run(tmp_path, Plan(count=count, per=per, every_seconds=0.5))

    assert report["studies" if per == "study" else "series"] == count
    assert (report["lost"], report["duplicated"], report["unfinished"]) == (0, 0, 0), report
    assert "failed" not in report["states"]
    assert sum(report["kills"].values()) >= 2
