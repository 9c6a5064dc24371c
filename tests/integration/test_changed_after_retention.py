"""Covered: changed content of series whose pixels retention has removed, in full and in part:
the ticks of the registrar on a real spool and PostgreSQL.

Not covered: the fetch from the source PACS (test_source_pacs.py).
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from common.spool.layout import list_instances
from db.models import Study
from db.outbox import NewResult
from db.states import SeriesState
from db.study_leases import lease_study
from db.study_results import save_study
from storescp.registration.scan import INTERVAL_SECONDS
from tests.support import study_record
from tests.support.ct_factory import ct_series
from tests.support.intake import (
    FIRST,
    OTHER,
    QUIET_SECONDS,
    Intake,
    actions,
    changed,
    intake_settings,
    key_of,
)
from tests.support.record import HIPS, Sessions, objects, screening
from worker.cli.show import show_json

pytestmark = pytest.mark.servers

PACS = '{"kind": "dimse", "ae_title": "PACS", "host": "10.0.0.9", "port": 104}'


def test_after_retention_the_record_tells_another_sender(intake: Intake) -> None:
    instances = intake.screened()
    intake.purge(instances)

    intake.store([*changed(instances[:2], KVP="80"), instances[2]], OTHER)
    intake.settle()

    assert intake.revision(instances) == (1, SeriesState.DELIVERED, 3)
    assert [one.instances for one in intake.history(instances).held] == [2]
    assert len(list_instances(intake.settings.spool_dir, key_of(instances))) == 1
    intake.decide(instances, accept=True)
    intake.settle()
    assert intake.revision(instances) == (2, SeriesState.QUEUED, 3)
    assert [intake.spooled(ds).KVP for ds in instances] == [80, 80, 120]


@pytest.mark.covers("H12")
def test_a_partial_change_after_retention_is_refused_until_the_rest_arrives(
    intake: Intake,
) -> None:
    instances = intake.screened()
    intake.purge(instances)

    with capture_logs() as lines:
        intake.store(changed(instances[:1], KVP="80"), FIRST)
        intake.settle()

    assert intake.revision(instances) == (1, SeriesState.DELIVERED, 3)
    history = intake.history(instances)
    refused = show_json(history)["change_refused"]
    assert refused == (
        "The change arrived with 1 images. 2 of those that were screened are missing: they are"
        " no longer in the spool, and no source PACS has told of them. Send the whole series"
        " again."
    )
    assert actions(history)[-1] == "change_refused"
    assert [one["event"] for one in lines].count("change_refused") == 1
    intake.restart()
    intake.now += INTERVAL_SECONDS
    intake.settle()
    assert actions(intake.history(instances)).count("change_refused") == 1

    intake.store(instances[1:], FIRST)
    intake.settle()

    assert intake.revision(instances) == (2, SeriesState.QUEUED, 3)
    assert show_json(intake.history(instances))["change_refused"] is None


def test_the_source_pacs_may_replace_what_retention_has_removed(
    intake: Intake, spool_dir: Path
) -> None:
    intake.settings = intake_settings(spool_dir, source_pacs=PACS)
    intake.restart()
    instances = intake.screened()
    intake.purge(instances)

    intake.store(changed(instances[:1], KVP="80"), FIRST)
    # A PACS may send what it has with other header values.
    intake.store(changed(instances[1:], AccessionNumber="A-2"), ("PACS", "10.0.0.9"))
    intake.settle()

    assert intake.held_files() == []
    assert intake.revision(instances) == (2, SeriesState.QUEUED, 3)


def test_the_other_series_of_a_result_are_fetched_after_retention(
    intake: Intake, spool_dir: Path
) -> None:
    intake.settings = intake_settings(
        spool_dir, source_pacs=PACS, result_per="study", study_quiet_seconds=0.01
    )
    intake.restart()
    first, second, third = (ct_series(2, StudyInstanceUID="1.2.3") for _ in range(3))
    intake.store([*first, *second, *third], FIRST)
    intake.settle()
    report_from(intake.sessions, 2)
    for series in (first, second, third):
        intake.purge(series)

    intake.store(changed(first, KVP="80"), FIRST)
    intake.now += QUIET_SECONDS + 1
    intake.registrar.tick(intake.now)

    assert intake.revision(first) == (2, SeriesState.QUEUED, 2)
    assert key_of(second) in intake.pending
    assert key_of(third) not in intake.pending
    intake.settle()  # the PACS does not answer: the study does not wait for ever
    assert key_of(second) not in intake.pending


def report_from(sessions: Sessions, count: int) -> None:
    """End the run over the study with a result of its first series, one hip each."""
    with sessions.begin() as session:
        study_id = session.scalars(select(Study.id)).one()
        held = lease_study(
            session, study_id, leased_by="w1", now=datetime.now(UTC), lease_seconds=60
        )
    assert held is not None
    ends = study_record.ends(sessions, held)
    used = [replace(end, state=SeriesState.SCREENED, is_used=True) for end in ends[:count]]
    hips = [
        replace(hip, series_id=end.series.series_id)
        for hip, end in zip(HIPS, used, strict=True)
    ]
    with sessions.begin() as session:
        save_study(
            session,
            held,
            [*used, *ends[count:]],
            used[0].series,
            NewResult(screening(), hips, objects(), [], folder="results/1.2.3/r1"),
            now=datetime.now(UTC),
        )


@pytest.mark.covers("H12")
def test_a_series_that_waits_and_has_lost_images_is_not_graded(intake: Intake) -> None:
    """An operator queues a series again after retention, and a part of it arrives."""
    instances = intake.screened()
    intake.purge(instances)
    with intake.sessions.begin() as session:
        series = intake.history(instances).series
        session.merge(series).state = SeriesState.QUEUED
    intake.store(changed(instances[:1], KVP="80"), FIRST)

    intake.settle()

    series = intake.history(instances).series
    assert (series.state, series.refused_count) == (SeriesState.QUEUED, 2)
