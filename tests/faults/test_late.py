"""Covered: slices that come while the series is screened, and after it was delivered."""

import os
import signal
from pathlib import Path

import pytest

from db.states import RunOutcome, SeriesState
from tests.faults.hospital import Hospital
from tests.faults.quick import QuickSeries
from tests.history import outcomes
from tests.servers import wait_for

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]


def test_slices_that_come_during_the_screening_make_it_void(
    hospital: Hospital, quick: QuickSeries, tmp_path: Path
) -> None:
    paths = quick.write(tmp_path / "series")
    hospital.send_all(paths[:-2])
    (key,) = hospital.acknowledged.series
    hospital.record.wait_until(key.series_instance_uid, {SeriesState.SCREENING})

    os.kill(hospital.worker.pid, signal.SIGSTOP)  # it would be faster than the late slices
    try:
        hospital.send_all(paths[-2:])
        wait_for(lambda: hospital.history(key).series.revision == 2, "the second revision")
    finally:
        os.kill(hospital.worker.pid, signal.SIGCONT)

    (history,) = hospital.check()
    assert outcomes(history) == [RunOutcome.SUPERSEDED, RunOutcome.SCREENED]
    assert len(history.deliveries) == 2


def test_slices_that_come_after_the_delivery_make_a_second_report(
    hospital: Hospital, quick: QuickSeries, tmp_path: Path
) -> None:
    paths = quick.write(tmp_path / "series")
    hospital.send_all(paths[:-2])
    hospital.check()

    hospital.send_all(paths[-2:])

    (history,) = hospital.check()
    assert outcomes(history) == [RunOutcome.SCREENED] * 2
    assert len(history.deliveries) == 4
