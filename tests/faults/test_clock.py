"""Covered: the wall clock of the worker jumps forward and back; the monotonic clock does not,
as on a real machine. No lease is lost, no series is screened twice or left waiting.

Not covered: the clock of the Storage SCP, which uses the monotonic clock.
"""

from datetime import timedelta
from pathlib import Path

import pytest

from db.states import RunOutcome, SeriesState
from tests.faults.conftest import start_worker
from tests.support.history import outcomes
from tests.support.quick_series import QuickSeries
from tests.support.system_under_test import SystemUnderTest

pytestmark = [pytest.mark.servers, pytest.mark.slow]

HOUR = 3600
DAY = 24 * HOUR


BEGUN = {SeriesState.SCREENING, SeriesState.SCREENED, SeriesState.DELIVERED}
"""A short screening can begin and end between two looks at the record."""


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """File with the shift of the wall clock in seconds."""
    path = tmp_path / "clock"
    path.write_text("0")
    return path


def test_a_clock_that_jumps_neither_loses_nor_duplicates_a_lease(
    clock: Path, scp_only: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    system = scp_only
    start_worker(system, FAULT_CLOCK=str(clock))
    for number, jump in enumerate((3 * HOUR, -2 * DAY, 0)):
        system.send_all(quick.write(tmp_path / f"a{number}"))
        system.send_all(quick.write(tmp_path / f"b{number}"))
        uid = system.acknowledged.series[-2].series_instance_uid
        system.record.wait_until(uid, BEGUN)
        clock.write_text(str(jump))
        system.wait_until_all_ended()

    histories = system.check()
    system.worker.stop()

    assert [outcomes(history) for history in histories] == [[RunOutcome.SCREENED]] * 6
    started = [run.started_at for history in histories for run in history.screenings]
    assert max(started) - min(started) > timedelta(days=1), "the clock did not jump"


def test_the_lease_of_a_dead_worker_expires_although_the_clock_went_back(
    clock: Path, scp_only: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    system = scp_only
    system.send_all(quick.write(tmp_path / "series"))
    start_worker(
        system, FAULT_CLOCK=str(clock), FAULT_KILL_AT="worker.pipeline.select.find_femurs"
    )
    system.worker.wait(300)
    clock.write_text(str(-DAY))
    start_worker(system, FAULT_CLOCK=str(clock))

    (history,) = system.check()
    system.worker.stop()

    assert outcomes(history) == [RunOutcome.EXPIRED, RunOutcome.SCREENED]
