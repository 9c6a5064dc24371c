"""Covered: slices that arrive during the screening, and after the delivery."""

import os
import signal
from pathlib import Path

import pytest

from db.states import RunOutcome, SeriesState
from tests.support.history import outcomes
from tests.support.quick_series import QuickSeries
from tests.support.servers import wait_for
from tests.support.system_under_test import SystemUnderTest

pytestmark = [pytest.mark.servers, pytest.mark.slow]


def test_slices_that_arrive_during_the_screening_supersede_it(
    system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    paths = quick.write(tmp_path / "series")
    system.send_all(paths[:-2])
    (key,) = system.acknowledged.series
    system.record.wait_until(key.series_instance_uid, {SeriesState.SCREENING})

    os.kill(system.worker.pid, signal.SIGSTOP)  # else it would end before the late slices
    try:
        system.send_all(paths[-2:])
        wait_for(lambda: system.history(key).series.revision == 2, "the second revision")
    finally:
        os.kill(system.worker.pid, signal.SIGCONT)

    (history,) = system.check()
    assert outcomes(history) == [RunOutcome.SUPERSEDED, RunOutcome.SCREENED]
    assert len(history.deliveries) == 3


def test_slices_that_arrive_after_the_delivery_cause_a_second_report(
    system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    paths = quick.write(tmp_path / "series")
    system.send_all(paths[:-2])
    system.check()

    system.send_all(paths[-2:])

    (history,) = system.check()
    assert outcomes(history) == [RunOutcome.SCREENED] * 2
    roles = [sent.result_object.role for sent in history.deliveries]
    # The first report is withdrawn.
    assert sorted(roles) == ["ko", "overlay", "overlay", "sc", "sc", "sr", "sr"]
