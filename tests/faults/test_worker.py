"""Covered: SIGKILL of the worker in each step from the first file to the last answer of the
PACS, a series that kills every worker, a warm shutdown, two workers at the same series."""

from pathlib import Path

import pytest

from db.states import RunOutcome, SeriesState
from tests.faults.conftest import start_worker
from tests.faults.hospital import PATIENCE_SECONDS, Hospital
from tests.faults.quick import QuickSeries
from tests.history import outcomes
from tests.servers import wait_for

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]

STEPS = {
    "load": "worker.pipeline.load.read_volume",
    "select": "worker.pipeline.select.find_femurs",
    "classify": "worker.pipeline.classify.ImageModel.classify",
    "before the files": "worker.outputs.write_files",
    "between the files": "worker.outputs.result_json",
    "files written, rows not": "db.outbox.save_screening",
    "rows written, message not sent": "worker.nudge.Nudges.deliver",
    "before the first object is sent": "worker.dimse._store",
    "between the objects": "worker.dimse._store:after",
    "answered, not recorded": "worker.delivery.deliver:after",
    "in the transaction that records": "db.outbox.mark_sent:after",
}
REJECTED = "db.lease.finish_rejected"
KILLED = -9


@pytest.mark.timeout(1800)  # a dozen workers start
def test_a_worker_killed_in_any_step_leaves_one_sr_and_one_sc(
    scp_only: Hospital, quick: QuickSeries, tmp_path: Path
) -> None:
    for number, place in enumerate((*STEPS.values(), REJECTED)):
        slices = slice(0, 6) if place == REJECTED else slice(None)
        scp_only.send_all(quick.write(tmp_path / str(number), slices))
        start_worker(scp_only, FAULT_KILL_AT=place)
        assert scp_only.worker.wait(300) == KILLED, (place, scp_only.worker.log)
    start_worker(scp_only)

    histories = scp_only.check()

    runs = [outcome for history in histories for outcome in outcomes(history)]
    assert runs.count(RunOutcome.SCREENED) == len(STEPS)
    assert runs.count(RunOutcome.REJECTED) == 1
    died_while_screening = [place for place in STEPS.values() if "outputs" in place]
    assert runs.count(RunOutcome.EXPIRED) >= len(died_while_screening)


def test_a_series_that_kills_its_workers_is_given_up(
    scp_only: Hospital, quick: QuickSeries, tmp_path: Path
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
    hospital: Hospital, quick: QuickSeries, tmp_path: Path
) -> None:
    second = hospital.another_worker()
    with second:
        wait_for(lambda: " ready." in second.log, "the second worker", PATIENCE_SECONDS)
        for number in range(6):
            hospital.send_all(quick.write(tmp_path / str(number)))
        keys = hospital.acknowledged.series
        wait_for(lambda: set(keys) <= set(hospital.record.standing()), "the record")
        for _ in range(5):
            for key in keys:
                hospital.nudge(hospital.history(key).series.id)

        histories = hospital.check()

    assert [outcomes(history) for history in histories] == [[RunOutcome.SCREENED]] * 6
    by = {run.leased_by for history in histories for run in history.screenings}
    assert len(by) == 2, "one worker did all"


def test_a_warm_shutdown_finishes_what_it_began(
    hospital: Hospital, quick: QuickSeries, tmp_path: Path
) -> None:
    hospital.send_all(quick.write(tmp_path / "series"))
    (key,) = hospital.acknowledged.series
    hospital.record.wait_until(key.series_instance_uid, {SeriesState.SCREENING})

    assert hospital.worker.stop(PATIENCE_SECONDS) == 0

    assert outcomes(hospital.history(key)) == [RunOutcome.SCREENED]
    start_worker(hospital)
    hospital.check()
