"""Covered: small inputs that would cost gigabytes or minutes, sent to the whole system: refused
or rejected within limits of memory. Another series is received, screened and delivered
while more of them arrive.

Not covered: each limit by itself (unit/common/dicom, unit/worker/pipeline/decoding).
"""

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from common.dicomnet import status
from db.states import SeriesState
from tests.support.bombs import (
    MAX_INTAKE_MEGABYTES,
    MAX_WORKER_MEGABYTES,
    REFUSED,
    accepted_series,
    made,
    peak_megabytes,
    send,
)
from tests.support.quick_series import QuickSeries
from tests.support.system_under_test import SystemUnderTest

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]


def send_until(ended: Event, begun: Event, port: int) -> None:
    """Send bombs one after the other until the first event is set; set the second after one."""
    bombs = itertools.cycle([made(kind) for kind in REFUSED])
    while not ended.is_set():
        assert send(*next(bombs), port).Status == status.UNDECODABLE
        begun.set()


def test_bombs_stay_within_memory_and_another_series_is_delivered(
    system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    for kind in REFUSED:
        assert send(*made(kind), system.port).Status == status.UNDECODABLE, kind
    bombs = accepted_series()
    for kind, instances in bombs.items():
        for instance in instances:
            assert send(*instance, system.port).Status == status.SUCCESS, kind
    delivered, begun = Event(), Event()
    with ThreadPoolExecutor(1) as pool:
        bombing = pool.submit(send_until, delivered, begun, system.port)
        try:
            assert begun.wait(120)
            system.send_all(quick.write(tmp_path / "series"))
            system.wait_until_all_ended()
        finally:
            delivered.set()
        bombing.result()

    (history,) = system.check()

    assert history.series.state is SeriesState.DELIVERED
    for kind, ((ds, *_), *_) in bombs.items():
        system.record.wait_until(ds.SeriesInstanceUID, {SeriesState.REJECTED})
        found = system.record.history(ds.SeriesInstanceUID)
        print(f"{kind}: {found.series.reason_code}")
    intake, worker = peak_megabytes(system.scp.pid), peak_megabytes(system.worker.pid)
    print(f"peak resident memory, MB: intake {intake}, worker {worker}")
    assert max(intake.values()) < MAX_INTAKE_MEGABYTES
    assert max(worker.values()) < MAX_WORKER_MEGABYTES
