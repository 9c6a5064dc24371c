"""Erasure of a patient: by the owner of the tables, from every table and folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from common.spool.erasure import study_folders
from common.spool.held import HELD
from common.spool.layout import RESULTS
from common.spool.quarantine import QUARANTINE
from db.access_log import AuditActor, record_access, record_export
from db.audit import note
from db.erasure import RecordChanged, erase_patient, find_patient
from db.session import DatabaseError, Sessions, make_engine, make_sessions
from tests.support.databases import create_service_roles, service_url
from tests.support.record import NOW, claim, completed, lease, register, screened, send
from tests.support.worker_cli import run_worker

pytestmark = pytest.mark.servers
PATIENT = completed().facts.patient_id or ""
STUDY = completed().study_instance_uid
KEPT = {"access": 2, "audit_message": 1, "alembic_version": 1}
"""Rows after the erasure: who looked, and the message of the erasure."""
FEEDBACK = """INSERT INTO feedback (at, screening_id, side, reader, agrees)
    VALUES (now(), :id, 'R', 'alice', true)"""
DXA = """INSERT INTO dxa_result (at, entered_by, patient_id, dxa_date, t_score)
    VALUES (now(), 'alice', :patient, '2026-11-01', -1.5)"""
SERIES_OF_ANOTHER = """INSERT INTO series (study_id, study_instance_uid, series_instance_uid,
    state, revision, attempts, created_at, changed_at, instance_count, total_bytes,
    refused_count, patient_id)
    SELECT study_id, study_instance_uid, '1.9', 'failed', 1, 0, now(), now(), 0, 0, 0, 'OTHER'
    FROM series"""


def rows(sessions: Sessions) -> dict[str, int]:
    """Return the number of rows of every table that has any."""
    with sessions() as session:
        tables = inspect(session.connection()).get_table_names()
        counts = {
            one: session.scalar(text(f"SELECT count(*) FROM {one}"))  # noqa: S608
            for one in tables
        }
    return {table: count for table, count in counts.items() if count}


def fill(sessions: Sessions, spool: Path) -> None:
    """Record a delivered result that was seen, with DXA, feedback, and files in the spool."""
    series_id, screening_id = screened(sessions, "pacs")
    send(sessions, claim(sessions, screening_id, "pacs"))
    with sessions.begin() as session:
        actor = AuditActor("alice", "reader", "")
        record_access(session, actor, "series", now=NOW, series_id=series_id)
        record_export(session, actor, "labels.csv", {STUDY}, now=NOW)
        note(session, "query", at=NOW, service="review", host="h", query=PATIENT)
        session.execute(text("UPDATE audit_message SET sent_at = now()"))
        session.execute(text(FEEDBACK), {"id": screening_id})
        session.execute(text(DXA), {"patient": PATIENT})
    for folder in ("", RESULTS, HELD, QUARANTINE):
        path = spool / folder / STUDY / "1.2.3" / "a.dcm"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")


@pytest.fixture
def audited(database_url: str) -> Iterator[Sessions]:
    """Sessions of the owner of the tables, with an audit record repository."""
    engine = make_engine(database_url, application_name="tests")
    yield make_sessions(engine, audit=True)
    engine.dispose()


@pytest.mark.covers("R22")
def test_a_patient_is_erased_from_every_table_and_folder(
    audited: Sessions, database_url: str, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    fill(audited, spool)
    create_service_roles(database_url)
    before = rows(audited)
    settings = {
        "DATABASE_URL": database_url,
        "SPOOL_DIR": spool,
        "AUDIT_SYSLOG": "localhost:6514",
    }
    of_worker = settings | {"DATABASE_URL": service_url(database_url, "worker")}

    shown = run_worker("erase", PATIENT, "--dry-run", cwd=tmp_path, settings=settings)
    refused = run_worker("erase", PATIENT, "--yes", cwd=tmp_path, settings=of_worker)
    unchanged = rows(audited)
    erased = run_worker("erase", PATIENT, "--yes", cwd=tmp_path, settings=settings)
    again = run_worker("erase", PATIENT, "--yes", cwd=tmp_path, settings=settings)

    assert shown.stdout.startswith("studies: 1, series: 1, results: 1, DXA results: 1\n")
    assert refused.returncode == 1
    assert "needs the owner of the tables" in refused.stderr
    assert unchanged == before
    assert (erased.returncode, again.returncode) == (0, 1), erased.stderr
    assert rows(audited) == KEPT
    assert study_folders(spool, STUDY) == []
    with audited.begin() as session:
        event, detail = session.execute(text("SELECT event, detail FROM audit_message")).one()
        seen = session.scalars(text("SELECT series_id FROM access")).all()
    assert seen == [None, None]
    assert (event, detail["study_instance_uid"]) == ("deleted", STUDY)
    with pytest.raises(DatabaseError, match="append-only"), audited.begin() as session:
        session.execute(text("DELETE FROM access"))


def test_work_in_progress_and_studies_of_two_patients_are_not_erased(
    audited: Sessions,
) -> None:
    lease(audited, register(audited).series_id)
    with audited.begin() as session:
        busy = find_patient(session, PATIENT, None, now=NOW)
        none = find_patient(session, PATIENT, "another issuer", now=NOW)
        session.execute(text(SERIES_OF_ANOTHER))
        mixed = find_patient(session, PATIENT, None, now=NOW)

    assert (busy.open, busy.others) == ((STUDY,), ())
    assert none.study_uids == ()
    assert mixed.others == (STUDY,)


def test_a_record_that_has_changed_since_it_was_shown_is_not_erased(audited: Sessions) -> None:
    screened(audited, "pacs")
    with audited() as session:
        found = find_patient(session, PATIENT, None, now=NOW)
    with audited.begin() as session:
        session.execute(text(DXA), {"patient": PATIENT})
    before = rows(audited)

    with pytest.raises(RecordChanged), audited.begin() as session:
        erase_patient(session, found, None, by="operator", now=NOW)

    assert rows(audited) == before
    with pytest.raises(DatabaseError, match="append-only"), audited.begin() as session:
        session.execute(text("DELETE FROM event"))
