"""Covered: changed content from another sender: the ticks of the registrar on a real spool and
PostgreSQL, decisions of an operator, ``status`` and ``show``.

Not covered: changes after retention (test_changed_after_retention.py), C-STORE from two
applications and the new report (test_study_path.py), the review page (review/test_held.py).
"""

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from common.spool.layout import list_instances
from db.held import decide, held_by_uid
from db.queue_status import queue_status
from db.retention import remove_old_pixels
from db.states import SeriesState
from tests.support.ct_factory import PATIENT_ID, PATIENT_NAME
from tests.support.intake import FIRST, OTHER, Intake, actions, changed, intake_settings, key_of
from worker.cli.show import show_json, show_tables
from worker.cli.status import status_json, status_tables

pytestmark = pytest.mark.servers


@pytest.mark.covers("T5")
def test_changed_content_of_another_sender_is_held_and_shown(intake: Intake) -> None:
    instances = intake.screened()

    with capture_logs() as lines:
        stored = intake.store(changed(instances[:2], PatientID="OTHER"), OTHER)
        intake.settle()

    assert [(one.changed, one.held) for one in stored] == [(False, True)] * 2
    assert len(intake.held_files()) == 2
    assert intake.revision(instances) == (1, SeriesState.DELIVERED, 3)
    assert intake.spooled(instances[0]).PatientID == PATIENT_ID
    history = intake.history(instances)
    (held,) = history.held
    assert (held.instances, str(held.first), str(held.sender)) == (
        2, "CT_01 (10.0.0.1)", "WS_02 (10.0.0.2)",
    )  # fmt: skip
    assert "content_held" in actions(history)
    (shown,) = show_json(history)["held"]
    assert shown["reason"]["code"] == "CHANGED_CONTENT"
    assert shown["sender"] == {"ae_title": "WS_02", "address": "10.0.0.2"}
    assert shown["differences"] == ["PatientID"]
    assert show_tables(history)
    with intake.sessions() as session:
        status = queue_status(session, now=datetime.now(UTC), limit=5)
    assert status_json(status)["held"] == [shown]
    assert status_tables(status)
    assert [one["event"] for one in lines].count("changed_content_held") == 1
    assert not any(word in str(lines) for word in (PATIENT_NAME, PATIENT_ID, "OTHER"))


def test_a_restart_records_held_content_once(intake: Intake) -> None:
    instances = intake.screened()
    intake.store(changed(instances[:1], KVP="80"), OTHER)
    intake.restart()  # before the record was written
    intake.settle()
    intake.restart()
    intake.settle()

    (held,) = intake.history(instances).held
    assert held.instances == 1
    assert actions(intake.history(instances)).count("content_held") == 1


@pytest.mark.parametrize(
    ("sender", "values"),
    [(FIRST, {}), (OTHER, {"changed_content": "accept"}), (("CT_01", ""), {})],
)
def test_a_correction_replaces_the_content(
    sender: tuple[str, str], values: dict[str, str], intake: Intake
) -> None:
    """By the first sender, by another one if the setting allows it, by an unknown address."""
    intake.settings = intake_settings(intake.settings.spool_dir, **values)
    intake.restart()
    instances = intake.screened()

    intake.store(changed(instances[:1], KVP="80"), sender)
    intake.settle()

    assert intake.held_files() == []
    assert intake.revision(instances) == (2, SeriesState.QUEUED, 3)
    assert intake.spooled(instances[0]).KVP == 80


def test_the_same_application_at_another_address_is_another_sender(intake: Intake) -> None:
    instances = intake.screened()

    (stored,) = intake.store(changed(instances[:1], KVP="80"), (FIRST[0], OTHER[1]))

    assert stored.held


def test_accepted_content_is_a_new_revision(intake: Intake) -> None:
    instances = intake.screened()
    intake.store(changed(instances[:2], KVP="80"), OTHER)
    intake.settle()

    assert intake.decide(instances, accept=True) == 2
    intake.restart()  # the decision is in the record
    intake.settle()
    assert intake.revision(instances) == (2, SeriesState.QUEUED, 3)
    intake.end(instances)

    assert intake.held_files() == []
    assert [intake.spooled(ds).KVP for ds in instances] == [80, 80, 120]
    history = intake.history(instances)
    assert history.held == []
    accepted = history.events[actions(history).index("content_accepted")]
    assert (accepted.actor, accepted.detail) == (
        "operator test", {"instances": 2, "sender": "WS_02 (10.0.0.2)"},
    )  # fmt: skip
    # The accepted sender is now the one whose corrections are taken.
    intake.store(changed(instances[:1], KVP="90"), OTHER)
    intake.settle()
    assert intake.revision(instances) == (3, SeriesState.QUEUED, 3)


def test_refused_content_is_deleted(intake: Intake) -> None:
    instances = intake.screened()
    other = changed(instances[:1], KVP="80")
    intake.store(other, OTHER)
    intake.settle()

    assert intake.decide(instances, accept=False) == 1
    intake.settle()

    assert intake.held_files() == []
    assert intake.revision(instances) == (1, SeriesState.DELIVERED, 3)
    assert intake.spooled(instances[0]).KVP == 120
    assert actions(intake.history(instances))[-1] == "content_refused"
    intake.store(other, OTHER)  # sent again: another decision
    intake.settle()
    assert [one.instances for one in intake.history(instances).held] == [1]


def test_content_that_arrives_after_the_page_was_shown_is_not_decided(intake: Intake) -> None:
    instances = intake.screened()
    intake.store(changed(instances[:1], KVP="80"), OTHER)
    intake.settle()
    with intake.sessions() as session:
        (shown,) = held_by_uid(session, instances[0].SeriesInstanceUID)
    intake.store(changed(instances[1:2], KVP="80"), OTHER)
    intake.settle()

    with intake.sessions.begin() as session:
        count = decide(session, shown, accept=True, actor="o", now=datetime.now(UTC))
    intake.settle()

    assert count == 1
    assert [intake.spooled(ds).KVP for ds in instances] == [80, 120, 120]
    assert len(intake.held_files()) == 1


def test_retention_keeps_a_series_that_waits_for_a_decision(intake: Intake) -> None:
    instances, free = intake.screened(), intake.screened()
    intake.store(changed(instances[:1], KVP="80"), OTHER)
    intake.settle()

    with intake.sessions.begin() as session:
        later = datetime.now(UTC) + timedelta(days=1)
        removed = remove_old_pixels(session, intake.settings.spool_dir, before=later)

    assert removed == 1
    assert len(list_instances(intake.settings.spool_dir, key_of(instances))) == 3
    assert list_instances(intake.settings.spool_dir, key_of(free)) == ()
