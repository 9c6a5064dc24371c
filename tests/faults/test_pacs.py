"""Covered: a PACS that is down, rejects, is slow, accepts TCP but does not answer, or stops
answering in the middle of an object. Every object arrives once when the PACS works again.

Not covered: refusals of single objects (tests/integration/test_delivery.py).
"""

from pathlib import Path

import pytest

from db.states import DeliveryState, SeriesState
from tests.support.quick_series import QuickSeries
from tests.support.servers import wait_for
from tests.support.system_under_test import TIMEOUT_SECONDS, SystemUnderTest
from tests.support.tcp_fault_proxy import Mode, TcpFaultProxy

pytestmark = [pytest.mark.servers, pytest.mark.slow]

STATUSES: dict[Mode, str] = {
    "down": "no connection",
    "rejects transient": "A-ASSOCIATE-RJ 2/3/2",
    "silent": "no connection",
    "stops": "no answer",
}


@pytest.mark.parametrize("mode", STATUSES)
def test_undelivered_objects_arrive_once_when_the_pacs_works_again(
    mode: Mode,
    system: SystemUnderTest,
    proxy: TcpFaultProxy,
    quick: QuickSeries,
    tmp_path: Path,
) -> None:
    proxy.mode = mode
    system.send_all(quick.write(tmp_path / "series"))
    (key,) = system.acknowledged.series
    uid = key.series_instance_uid
    system.record.wait_until(uid, {SeriesState.SCREENED})

    def statuses() -> list[str | None]:
        return [one.delivery.last_status for one in system.record.history(uid).deliveries]

    wait_for(lambda: None not in statuses(), "a first attempt that fails", TIMEOUT_SECONDS)
    assert set(statuses()) == {STATUSES[mode]}
    proxy.mode = "open"

    (history,) = system.check()
    assert {one.delivery.state for one in history.deliveries} == {DeliveryState.CONFIRMED}
    assert min(one.delivery.attempts for one in history.deliveries) >= 2


def test_a_pacs_that_hangs_for_longer_than_a_claim_gets_no_second_attempt_meanwhile(
    system: SystemUnderTest, proxy: TcpFaultProxy, quick: QuickSeries, tmp_path: Path
) -> None:
    proxy.mode = "silent"
    system.send_all(quick.write(tmp_path / "series"))
    before = proxy.connections
    wait_for(lambda: proxy.connections > before, "the delivery", TIMEOUT_SECONDS)
    (key,) = system.acknowledged.series

    def attempts() -> list[int]:
        """Return the number of attempts of each object that has failed."""
        deliveries = [one.delivery for one in system.history(key).deliveries]
        return [one.attempts for one in deliveries if one.error is not None]

    wait_for(lambda: len(attempts()) == 3, "the timeout", TIMEOUT_SECONDS)
    # Each attempt is an association, and a connection that looks for the cause of its failure.
    assert proxy.connections <= before + 2 * max(attempts()), "a claim was not extended"
    proxy.mode = "open"

    system.check()


def test_a_slow_pacs_gets_all_objects_at_the_first_attempt(
    system: SystemUnderTest, proxy: TcpFaultProxy, quick: QuickSeries, tmp_path: Path
) -> None:
    proxy.mode = "slow"
    system.send_all(quick.write(tmp_path / "series"))

    (history,) = system.check()

    assert [one.delivery.attempts for one in history.deliveries] == [1, 1, 1]


def test_a_rejection_pauses_the_destination_until_it_accepts_again(
    system: SystemUnderTest, proxy: TcpFaultProxy, quick: QuickSeries, tmp_path: Path
) -> None:
    proxy.mode = "rejects permanent"
    system.send_all(quick.write(tmp_path / "series"))
    (key,) = system.acknowledged.series

    def rejected() -> bool:
        deliveries = system.history(key).deliveries if system.found(key) else ()
        return {one.delivery.last_status for one in deliveries} == {"A-ASSOCIATE-RJ 1/1/7"}

    wait_for(rejected, "the rejection", TIMEOUT_SECONDS)
    states = {one.delivery.state for one in system.history(key).deliveries}
    assert states == {DeliveryState.DUE}
    proxy.mode = "open"

    system.check()
