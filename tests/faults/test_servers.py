"""Covered: SIGKILL of Redis, with and without loss of its data, and of PostgreSQL, while series
are received, screened and delivered."""

from pathlib import Path

import pytest
import redis

from db.states import RunOutcome, SeriesState
from tests.support.history import outcomes
from tests.support.quick_series import QuickSeries
from tests.support.servers import wait_for
from tests.support.system_under_test import SystemUnderTest
from tests.support.tcp_fault_proxy import TcpFaultProxy

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.mark.parametrize("keeps", [True, False], ids=["with its data", "without its data"])
def test_a_killed_redis_loses_no_series_and_duplicates_none(
    keeps: bool, system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    for number in range(6):
        system.send_all(quick.write(tmp_path / str(number)))
    wait_for(lambda: len(system.unfinished()) < 6, "the first to end")

    if not keeps:
        with redis.Redis.from_url(system.redis.url) as client:
            client.flushall()
    system.redis.kill()
    system.send_all(quick.write(tmp_path / "meanwhile"))
    system.redis.start()

    histories = system.check()
    assert [outcomes(history) for history in histories] == [[RunOutcome.SCREENED]] * 7


@pytest.mark.parametrize("phase", ["receiving", "screening", "delivering"])
def test_a_killed_postgresql_loses_no_series_and_duplicates_none(
    phase: str,
    system: SystemUnderTest,
    proxy: TcpFaultProxy,
    quick: QuickSeries,
    tmp_path: Path,
) -> None:
    first, second = quick.write(tmp_path / "first"), quick.write(tmp_path / "second")
    if phase == "delivering":
        proxy.mode = "silent"
    system.send_all(first[:12] if phase == "receiving" else first)
    uid = system.acknowledged.series[0].series_instance_uid
    if phase == "screening":
        system.record.wait_until(uid, {SeriesState.SCREENING})
    elif phase == "delivering":
        before = proxy.connections
        wait_for(lambda: proxy.connections > before, "the delivery")

    system.postgres.kill()
    system.send_all(second)
    system.send_all(first)
    proxy.mode = "open"
    system.postgres.start()

    system.check()
    assert system.scp.running
    assert system.worker.running
