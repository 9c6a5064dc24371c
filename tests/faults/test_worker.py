"""Covered: SIGKILL of the worker in each step from the first file to the last answer of the
PACS, a series that kills every worker, a warm shutdown, two workers with the same series."""

from pathlib import Path

import pytest

from db.states import RunOutcome, SeriesState
from tests.faults.conftest import start_worker
from tests.support.history import outcomes
from tests.support.quick_series import QuickSeries
from tests.support.servers import wait_for
from tests.support.system_under_test import TIMEOUT_SECONDS, SystemUnderTest

pytestmark = [pytest.mark.servers, pytest.mark.slow]

STEPS = {
    "load": "worker.pipeline.load.read_volume",
    "select": "worker.pipeline.select.find_femurs",
    "classify": "worker.pipeline.model.classify.ImageModel.classify",
    "before the files": "worker.screening.outputs.write_files",
    "between the files": "worker.screening.outputs.result_json",
    "files written, rows not": "db.outbox.save_screening",
    "rows written, message not sent": "common.task_publisher.TaskPublisher.deliver",
    "before the objects are sent": "worker.delivery.deliver_screening._send",
    "answered, not recorded": "worker.delivery.deliver_screening._send:after",
    "in the transaction that records": "db.outbox.mark_sent:after",
}
REJECTED = "db.leases.finish_rejected"
KILLED = -9


@pytest.mark.timeout(1800)  # a dozen workers start
@pytest.mark.covers("H16")
def test_a_worker_killed_in_any_step_leaves_one_sr_and_one_sc(
    scp_only: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    for number, step in enumerate((*STEPS.values(), REJECTED)):
        slices = slice(0, 6) if step == REJECTED else slice(None)
        scp_only.send_all(quick.write(tmp_path / str(number), slices))
        start_worker(scp_only, FAULT_KILL_AT=step)
        assert scp_only.worker.wait(300) == KILLED, (step, scp_only.worker.log)
    start_worker(scp_only)

    histories = scp_only.check()

    runs = [outcome for history in histories for outcome in outcomes(history)]
    assert runs.count(RunOutcome.SCREENED) == len(STEPS)
    assert runs.count(RunOutcome.REJECTED) == 1
    killed_while_screening = [step for step in STEPS.values() if "outputs" in step]
    assert runs.count(RunOutcome.EXPIRED) >= len(killed_while_screening)


def test_a_series_that_kills_its_workers_fails_after_the_last_attempt(
    scp_only: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    attempts = scp_only.settings["MAX_ATTEMPTS"]
    scp_only.settings["MAX_ATTEMPTS"] = 1
    scp_only.send_all(quick.write(tmp_path / "series"))
    try:
        start_worker(scp_only, FAULT_KILL_AT=STEPS["load"])
        assert scp_only.worker.wait(300) == KILLED
        start_worker(scp_only)

        (history,) = scp_only.check(good=frozenset({SeriesState.FAILED}))
    finally:
        scp_only.settings["MAX_ATTEMPTS"] = attempts
        scp_only.worker.stop()
    assert history.series.attempts == 1
    assert outcomes(history) == [RunOutcome.EXPIRED]


def test_two_workers_and_many_messages_screen_a_series_once(
    system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    second = system.another_worker()
    with second:
        wait_for(lambda: " ready." in second.log, "the second worker", TIMEOUT_SECONDS)
        for number in range(6):
            system.send_all(quick.write(tmp_path / str(number)))
        keys = system.acknowledged.series
        wait_for(lambda: set(keys) <= set(system.record.queue_status()), "the record")
        for _ in range(5):
            for key in keys:
                system.publish(system.history(key).series.id)

        histories = system.check()

    assert [outcomes(history) for history in histories] == [[RunOutcome.SCREENED]] * 6
    by = {run.leased_by for history in histories for run in history.screenings}
    assert len(by) == 2, "one worker screened all series"


def test_a_warm_shutdown_finishes_the_screening_in_progress(
    system: SystemUnderTest, quick: QuickSeries, tmp_path: Path
) -> None:
    system.send_all(quick.write(tmp_path / "series"))
    (key,) = system.acknowledged.series
    system.record.wait_until(key.series_instance_uid, {SeriesState.SCREENING})

    assert system.worker.stop(TIMEOUT_SECONDS) == 0

    assert outcomes(system.history(key)) == [RunOutcome.SCREENED]
    start_worker(system)
    system.check()
