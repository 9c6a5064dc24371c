"""Covered: a PACS that is down, refuses, is slow, accepts TCP and says nothing, or goes silent
in the middle of an object: every object arrives once when it is back.

Not covered: refusals of single objects (tests/integration/test_delivery.py).
"""

import time
from pathlib import Path

import pytest

from db.states import DeliveryState, SeriesState
from tests.faults.hospital import PATIENCE_SECONDS, Hospital
from tests.faults.line import Line, Mode
from tests.faults.quick import QuickSeries
from tests.servers import wait_for

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]

STATUSES: dict[Mode, str] = {
    "down": "no connection",
    "rejects": "A-ASSOCIATE-RJ 2/3/2",
    "silent": "no connection",
    "stops": "no answer",
}


@pytest.mark.parametrize("mode", STATUSES)
def test_what_a_pacs_did_not_take_it_gets_once_when_it_is_back(
    mode: Mode, hospital: Hospital, line: Line, quick: QuickSeries, tmp_path: Path
) -> None:
    line.mode = mode
    hospital.send_all(quick.write(tmp_path / "series"))
    (key,) = hospital.acknowledged.series
    uid = key.series_instance_uid
    hospital.record.wait_until(uid, {SeriesState.SCREENED})

    def statuses() -> list[str | None]:
        return [one.delivery.last_status for one in hospital.record.history(uid).deliveries]

    wait_for(lambda: None not in statuses(), "a first attempt that fails", PATIENCE_SECONDS)
    assert set(statuses()) == {STATUSES[mode]}
    line.mode = "open"

    (history,) = hospital.check()
    assert {one.delivery.state for one in history.deliveries} == {DeliveryState.CONFIRMED}
    assert min(one.delivery.attempts for one in history.deliveries) >= 2


def test_a_pacs_that_hangs_for_longer_than_a_claim_lasts_is_tried_by_one_worker_only(
    hospital: Hospital, line: Line, quick: QuickSeries, tmp_path: Path
) -> None:
    line.mode = "silent"
    hospital.send_all(quick.write(tmp_path / "series"))
    before = line.connections
    wait_for(lambda: line.connections > before, "the delivery", PATIENCE_SECONDS)
    (key,) = hospital.acknowledged.series

    def attempts() -> list[int]:
        """How often each object was tried, once that has failed."""
        deliveries = [one.delivery for one in hospital.history(key).deliveries]
        return [one.attempts for one in deliveries if one.error is not None]

    wait_for(lambda: len(attempts()) == 2, "the end of patience", PATIENCE_SECONDS)
    assert line.connections == before + max(attempts()), "a claim was not kept"
    line.mode = "open"

    hospital.check()


def test_a_slow_pacs_gets_everything_at_the_first_attempt(
    hospital: Hospital, line: Line, quick: QuickSeries, tmp_path: Path
) -> None:
    line.mode = "slow"
    hospital.send_all(quick.write(tmp_path / "series"))

    (history,) = hospital.check()

    assert [one.delivery.attempts for one in history.deliveries] == [1, 1]


def test_a_pacs_that_refuses_for_good_is_left_alone_until_an_operator_acts(
    hospital: Hospital, line: Line, quick: QuickSeries, tmp_path: Path
) -> None:
    line.mode = "rejects for good"
    hospital.send_all(quick.write(tmp_path / "series"))
    (key,) = hospital.acknowledged.series

    def refused() -> bool:
        deliveries = hospital.history(key).deliveries if hospital.found(key) else ()
        states = {one.delivery.state for one in deliveries}
        return states == {DeliveryState.REFUSED}

    wait_for(refused, "the refusal", PATIENCE_SECONDS)
    tries = line.connections
    time.sleep(2 * float(str(hospital.settings["SWEEP_SECONDS"])))
    assert line.connections == tries
    line.mode = "open"
    hospital.retry(key)

    hospital.check()
