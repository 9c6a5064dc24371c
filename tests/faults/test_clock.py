"""Covered: the wall clock of the worker jumps forward and back; the monotonic clock does not,
as on a real machine. No lease is lost, no series is screened twice or left waiting.

Not covered: the clock of the Storage SCP, which goes by the monotonic one.
"""

from datetime import timedelta
from pathlib import Path

import pytest

from db.states import RunOutcome, SeriesState
from tests.faults.conftest import start_worker
from tests.faults.hospital import Hospital
from tests.faults.quick import QuickSeries
from tests.history import outcomes

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]

HOUR = 3600
DAY = 24 * HOUR


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """A file that says by how many seconds the wall clock is off."""
    path = tmp_path / "clock"
    path.write_text("0")
    return path


def test_a_clock_that_jumps_neither_loses_nor_doubles_a_lease(
    clock: Path, scp_only: Hospital, quick: QuickSeries, tmp_path: Path
) -> None:
    hospital = scp_only
    start_worker(hospital, FAULT_CLOCK=str(clock))
    for number, jump in enumerate((3 * HOUR, -2 * DAY, 0)):
        hospital.send_all(quick.write(tmp_path / f"a{number}"))
        hospital.send_all(quick.write(tmp_path / f"b{number}"))
        uid = hospital.acknowledged.series[-2].series_instance_uid
        hospital.record.wait_until(uid, {SeriesState.SCREENING})
        clock.write_text(str(jump))
        hospital.wait_until_all_ended()

    histories = hospital.check()
    hospital.worker.stop()

    assert [outcomes(history) for history in histories] == [[RunOutcome.SCREENED]] * 6
    started = [run.started_at for history in histories for run in history.screenings]
    assert max(started) - min(started) > timedelta(days=1), "the clock did not jump"


def test_the_lease_of_a_dead_worker_ends_although_the_clock_went_back(
    clock: Path, scp_only: Hospital, quick: QuickSeries, tmp_path: Path
) -> None:
    hospital = scp_only
    hospital.send_all(quick.write(tmp_path / "series"))
    start_worker(
        hospital, FAULT_CLOCK=str(clock), FAULT_KILL_AT="worker.pipeline.select.find_femurs"
    )
    hospital.worker.wait(300)
    clock.write_text(str(-DAY))
    start_worker(hospital, FAULT_CLOCK=str(clock))

    (history,) = hospital.check()
    hospital.worker.stop()

    assert outcomes(history) == [RunOutcome.EXPIRED, RunOutcome.SCREENED]
