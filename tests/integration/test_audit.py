"""Audit messages to a real rsyslog by TLS: none is lost while it is down, or by a crash."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree
from sqlalchemy import text

from common.audit.message import AuditEvent, Facts, audit_message
from common.audit.syslog import SyslogServer, send_messages
from common.settings.worker import WorkerSettings
from common.tls import Tls, server_context
from db.access_log import AuditActor, note_query, record_access, record_export
from db.audit import STUDIES_PER_MESSAGE, note, oldest_unsent
from db.completed_series import SeriesFacts
from db.session import Sessions, make_engine, make_sessions
from deploy.demo.embedded import free_port
from deploy.demo.processes import Process
from tests.support.certificates import Authority
from tests.support.record import claim, completed, register, screened, send
from tests.support.review_site import running_site
from tests.support.servers import (
    child_environment,
    require_tool,
    wait_for,
    wait_until_listening,
)
from worker.audit_sender import RETRY, AuditSender
from worker.diagnostics.checks import check_audit

pytestmark = [pytest.mark.servers, pytest.mark.covers("T10")]
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
ALICE = AuditActor("alice", "reader", "10.0.0.9")
FEEDBACK = """INSERT INTO feedback (at, screening_id, side, reader, agrees)
    VALUES (now(), :id, 'R', 'alice', true)"""
CONFIGURATION = """
global(
    workDirectory="{folder}"
    maxMessageSize="64k"
    defaultNetstreamDriver="gtls"
    defaultNetstreamDriverCAFile="{ca}"
    defaultNetstreamDriverCertFile="{cert}"
    defaultNetstreamDriverKeyFile="{key}"
)
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1"
    streamDriver.authMode="anon")
input(type="imtcp" port="{port}" address="127.0.0.1")
template(name="all" type="string" string="%app-name% %msgid% %syslogfacility-text% %msg%\\n")
action(type="omfile" file="{folder}/received" template="all")
"""


@contextmanager
def running_rsyslog(folder: Path, authority: Authority, port: int) -> Iterator[Path]:
    """Run rsyslog with TLS; yield the file of what it has received, a line each."""
    program = require_tool("rsyslogd", "rsyslog rsyslog-gnutls")
    identity = authority.issue(f"rsyslog{port}")
    folder.mkdir()
    configuration = folder / "rsyslog.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder, ca=authority.ca, cert=identity.cert, key=identity.key, port=port
        )
    )
    process = Process(
        [program, "-n", "-f", str(configuration), "-i", str(folder / "pid")],
        environment=child_environment(),
        log_path=folder / "log",
    )
    with process:
        wait_until_listening(process, port)
        yield folder / "received"


@pytest.fixture
def audited(database_url: str) -> Iterator[Sessions]:
    """Sessions of services with an audit record repository."""
    engine = make_engine(database_url, application_name="tests")
    yield make_sessions(engine, audit=True)
    engine.dispose()


@pytest.mark.covers("R25")
def test_messages_wait_for_the_repository_and_are_sent_once(
    audited: Sessions, tmp_path: Path
) -> None:
    authority, port = Authority(tmp_path / "ca"), free_port()
    settings = WorkerSettings(audit_syslog=("localhost", port), tls_ca=authority.ca)
    sender = AuditSender(settings, audited)
    with audited.begin() as session:
        record_access(session, ALICE, "login", now=NOW)
    long_text = "\u00e4" * 5000
    with audited.begin() as session:
        note(session, "read", at=NOW, service="review", host="h", user=long_text)

    sender.send_due(NOW)  # nothing listens
    refused = check_audit(settings)
    with audited() as session:
        waiting = oldest_unsent(session)
    sender.send_due(NOW + RETRY / 2)  # not due yet
    with running_rsyslog(tmp_path / "rsyslog", authority, port) as received:
        assert check_audit(settings).ok
        sender.send_due(NOW + RETRY)
        sender.send_due(NOW + 2 * RETRY)
        wait_for(lambda: received.exists() and received.read_text().count("\n") == 2, "lines")
        lines = [line.split(" ", 3) for line in received.read_text().splitlines()]
    with audited() as session:
        left = oldest_unsent(session)

    assert (refused.ok, refused.detail) == (
        False,
        f"localhost:{port}: [Errno 111] Connection refused",
    )
    assert (waiting, left) == (NOW, None)
    assert [one[:3] for one in lines] == [["osteoscreen", "DICOM+RFC3881", "authpriv"]] * 2
    users = [
        etree.fromstring(one[3].lstrip("\ufeff").encode())
        .find("ActiveParticipant")
        .get("UserID")
        for one in lines
    ]
    assert users == ["alice", long_text]


def test_reception_delivery_and_views_are_noted_with_their_study(audited: Sessions) -> None:
    series_id, screening_id = screened(audited, "pacs")
    send(audited, claim(audited, screening_id, "pacs"))
    with audited.begin() as session:
        record_access(session, ALICE, "series", now=NOW, series_id=series_id)
        record_access(session, ALICE, "worklist", now=NOW, detail={"series": [series_id]})
        record_access(session, ALICE, "drift", now=NOW)
        record_export(session, ALICE, "labels.csv", {completed().study_instance_uid}, now=NOW)
        record_export(session, ALICE, "results.csv", (), now=NOW)
        note_query(session, ALICE, "PID 4711", now=NOW)
        rows = session.execute(
            text("SELECT event, at, detail FROM audit_message ORDER BY id")
        ).all()

    assert [row.event for row in rows] == [
        *("received", "sent", "sent", "read", "read", "export", "export", "query"),
    ]
    facts = [Facts(AuditEvent(row.event), row.at, **row.detail) for row in rows]
    *facts, labels, results, query = facts
    assert (labels.file, labels.user) == ("labels.csv", "alice")
    assert labels.studies == {completed().study_instance_uid: completed().facts.patient_id}
    assert (results.file, results.studies) == ("results.csv", {})
    assert (query.query, query.user, query.address) == ("PID 4711", "alice", "10.0.0.9")
    assert {one.study_instance_uid for one in facts} == {completed().study_instance_uid}
    assert {one.patient_id for one in facts} == {completed().facts.patient_id}
    assert sum(facts[0].instances.values()) == len(completed().instances)
    assert (facts[1].peer, facts[3].user) == ("pacs", "alice")
    assert all(audit_message(one).startswith(b"<AuditMessage>") for one in facts)


def test_export_of_many_studies_is_several_messages(audited: Sessions) -> None:
    uids = {f"1.9.{number}" for number in range(STUDIES_PER_MESSAGE + 1)}
    for number, uid in enumerate(sorted(uids)):
        facts = SeriesFacts(patient_id=f"P{number}")
        register(
            audited,
            completed(study_instance_uid=uid, series_instance_uid=f"{uid}.1", facts=facts),
        )

    with audited.begin() as session:
        record_export(session, ALICE, "labels.csv", uids, now=NOW)
        details = session.scalars(
            text("SELECT detail FROM audit_message WHERE event = 'export' ORDER BY id")
        ).all()

    assert [len(one["studies"]) for one in details] == [STUDIES_PER_MESSAGE, 1]
    named = {uid: patient for one in details for uid, patient in one["studies"].items()}
    assert named == {uid: f"P{number}" for number, uid in enumerate(sorted(uids))}
    assert {(one["file"], one["user"]) for one in details} == {("labels.csv", "alice")}


def test_search_filter_and_export_of_the_review_page_are_noted(
    audited: Sessions, database_url: str, tmp_path: Path
) -> None:
    _, screening_id = screened(audited, "pacs")
    with audited.begin() as session:
        session.execute(text(FEEDBACK), {"id": screening_id})
    settings = {"AUDIT_SYSLOG": f"localhost:{free_port()}"}
    with running_site(database_url, tmp_path, tmp_path, settings) as site:
        client = site.client("operator")
        client.post("/search", data={"csrf": client.csrf(), "identifier": "PID 4711"})
        client.get("/?reason=METAL")
        client.get("/export/labels.csv")
        exported = client.get("/export/feedback.csv").text

    with audited() as session:
        rows = session.execute(
            text("SELECT event, detail FROM audit_message WHERE event IN ('query', 'export')")
        ).all()
        entries = session.scalars(text("SELECT detail::text FROM access")).all()
    assert exported.count("\n") == 2  # the header and a hip
    assert [row.event for row in rows] == ["query", "query", "export", "export"]
    assert [row.detail.get("query") for row in rows[:2]] == ["PID 4711", "reason=METAL"]
    assert (rows[2].detail["file"], rows[2].detail["studies"]) == ("labels.csv", {})
    assert rows[3].detail["file"] == "feedback.csv"
    study = {completed().study_instance_uid: completed().facts.patient_id}
    assert rows[3].detail["studies"] == study
    assert {row.detail["user"] for row in rows} == {"test operator"}
    assert [one for one in entries if "4711" in one] == []  # the access log has no patient ID


def test_claim_of_a_worker_that_died_ends(audited: Sessions, tmp_path: Path) -> None:
    from db.audit import claim_messages

    with audited.begin() as session:
        record_access(session, ALICE, "logout", now=NOW)
    lease = timedelta(seconds=60)
    counts = []
    for seconds in (0, 59, 60):
        with audited.begin() as session:
            now = NOW + timedelta(seconds=seconds)
            counts.append(len(claim_messages(session, now=now, lease=lease, limit=10)))

    assert counts == [1, 0, 1]


def test_repository_with_another_certificate_gets_nothing(
    audited: Sessions, tmp_path: Path
) -> None:
    trusted, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    port = free_port()
    settings = WorkerSettings(audit_syslog=("localhost", port), tls_ca=trusted.ca)
    with audited.begin() as session:
        record_access(session, ALICE, "login", now=NOW)

    with running_rsyslog(tmp_path / "rsyslog", other, port) as received:
        AuditSender(settings, audited).send_due(NOW)

    assert not received.exists()
    with audited() as session:
        assert oldest_unsent(session) == NOW


def test_server_that_closes_without_reading_gets_the_messages_again(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    identity = authority.issue("closing")
    context = server_context(Tls(None, identity.cert, identity.key), client_certificate=False)

    def accept_and_close() -> None:
        for _ in range(3):
            with context.wrap_socket(listener.accept()[0], server_side=True):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept_and_close)
        thread.start()
        for size in (10, 60_000, 4_000_000):
            server = SyslogServer("localhost", listener.getsockname()[1])
            with pytest.raises(OSError):  # noqa: PT011 - by the moment at which it closes
                send_messages(server, Tls(authority.ca), [b"x" * size])
        thread.join()


def test_nothing_is_written_without_a_repository(sessions: Sessions) -> None:
    with sessions.begin() as session:
        record_access(session, ALICE, "login", now=NOW)
        assert session.scalar(text("SELECT count(*) FROM audit_message")) == 0
    assert Tls() == WorkerSettings().tls
