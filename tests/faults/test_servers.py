"""Covered: SIGKILL of Redis, with and without its data, and of PostgreSQL, which then recovers,
while series are received, screened and delivered."""

from pathlib import Path

import pytest
import redis

from db.states import RunOutcome, SeriesState
from tests.faults.hospital import Hospital
from tests.faults.line import Line
from tests.faults.quick import QuickSeries
from tests.history import outcomes
from tests.servers import wait_for

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("keeps", [True, False], ids=["with its data", "without its data"])
def test_a_killed_redis_loses_no_series_and_doubles_none(
    keeps: bool, hospital: Hospital, quick: QuickSeries, tmp_path: Path
) -> None:
    for number in range(6):
        hospital.send_all(quick.write(tmp_path / str(number)))
    wait_for(lambda: len(hospital.unfinished()) < 6, "the first to end")

    if not keeps:
        with redis.Redis.from_url(hospital.redis.url) as client:
            client.flushall()
    hospital.redis.kill()
    hospital.send_all(quick.write(tmp_path / "meanwhile"))
    hospital.redis.start()

    histories = hospital.check()
    assert [outcomes(history) for history in histories] == [[RunOutcome.SCREENED]] * 7


@pytest.mark.parametrize("phase", ["receiving", "screening", "delivering"])
def test_a_killed_postgresql_loses_no_series_and_doubles_none(
    phase: str, hospital: Hospital, line: Line, quick: QuickSeries, tmp_path: Path
) -> None:
    first, second = quick.write(tmp_path / "first"), quick.write(tmp_path / "second")
    if phase == "delivering":
        line.mode = "silent"
    hospital.send_all(first[:12] if phase == "receiving" else first)
    uid = hospital.acknowledged.series[0].series_instance_uid
    if phase == "screening":
        hospital.record.wait_until(uid, {SeriesState.SCREENING})
    elif phase == "delivering":
        before = line.connections
        wait_for(lambda: line.connections > before, "the delivery")

    hospital.postgres.kill()
    hospital.send_all(second)
    hospital.send_all(first)
    line.mode = "open"
    hospital.postgres.start()

    hospital.check()
    assert hospital.scp.running
    assert hospital.worker.running
