"""Audit messages by the schema of PS3.15 A.5.1 and the tables of A.5.3; frames of syslog."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from common.audit.message import AuditEvent, Facts, audit_message
from common.audit.syslog import syslog_message
from db.audit import STUDIES_PER_MESSAGE

SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).parents[3] / "support/audit_schema.rng"))
AT = datetime(2026, 11, 30, 21, 15, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
SERIES = {
    "patient_id": "P<1>&\u00e4\x01",
    "study_instance_uid": "1.2.3",
    "instances": {"1.2.840.10008.5.1.4.1.1.2": 120},
    "peer": "CT_01",
    "address": "10.0.0.5",
}
USER = {"user": "alice", "address": "10.0.0.9"}
DETAILS: dict[AuditEvent, dict[str, Any]] = {
    AuditEvent.START: {},
    AuditEvent.STOP: {},
    AuditEvent.LOGIN: USER,
    AuditEvent.LOGOUT: USER,
    AuditEvent.LOGIN_REFUSED: {"user": "anonymous", "address": "10.0.0.9"},
    AuditEvent.READ: {**USER, "patient_id": "P1", "study_instance_uid": "1.2.3"},
    AuditEvent.RECEIVED: SERIES,
    AuditEvent.SENT: SERIES,
    AuditEvent.QUERY: {**USER, "query": "PID <4711> \u00e4"},
    AuditEvent.EXPORT: {**USER, "file": "labels.csv", "studies": {"1.2": "P1", "1.3": None}},
    AuditEvent.DELETED: {"user": "root", "patient_id": "P1", "study_instance_uid": "1.2.3"},
}


def message_of(event: AuditEvent, **other: Any) -> Any:
    detail = {**DETAILS[event], **other}
    root = etree.fromstring(audit_message(Facts(event, AT, "worker", "host1", **detail)))
    SCHEMA.assertValid(root)
    return root


@pytest.mark.parametrize("event", AuditEvent)
@pytest.mark.covers("T10")
def test_every_event_is_valid_by_the_schema(event: AuditEvent) -> None:
    root = message_of(event)

    identification = root.find("EventIdentification")
    assert identification.get("EventDateTime") == "2026-11-30T20:15:00.123+00:00"
    assert root.find("AuditSourceIdentification").get("AuditSourceID") == "osteoscreen@host1"


def test_schema_refuses_what_the_standard_refuses() -> None:
    root = message_of(AuditEvent.SENT)
    root.find("EventIdentification").set("EventActionCode", "X")

    assert not SCHEMA.validate(root)


def test_transfer_names_source_destination_study_and_patient() -> None:
    root = message_of(AuditEvent.RECEIVED)

    roles = {
        one.find("RoleIDCode").get("csd-code"): (one.get("UserID"), one.get("UserIsRequestor"))
        for one in root.findall("ActiveParticipant")
    }
    assert roles == {
        "110153": ("CT_01", "true"),
        "110152": ("osteoscreen worker", "false"),
    }
    study, patient = root.findall("ParticipantObjectIdentification")
    sop_class = study.find("ParticipantObjectDescription/SOPClass")
    assert study.get("ParticipantObjectID") == "1.2.3"
    assert sop_class.get("NumberOfInstances") == "120"
    assert patient.get("ParticipantObjectID") == "P<1>&\u00e4 "
    sent = message_of(AuditEvent.SENT, peer="pacs").findall("ActiveParticipant")
    assert [(one.get("UserID"), one.get("UserIsRequestor")) for one in sent] == [
        ("pacs", "false"),
        ("osteoscreen worker", "true"),
    ]


def test_query_has_what_was_searched_for() -> None:
    root = message_of(AuditEvent.QUERY)

    event = root.find("EventIdentification/EventID")
    query = root.findtext("ParticipantObjectIdentification/ParticipantObjectQuery")
    assert (event.get("csd-code"), event.get("originalText")) == ("110112", "Query")
    assert b64decode(query).decode() == "PID <4711> \u00e4"
    assert participants(root) == [
        ("alice", "true", "110153"),
        ("osteoscreen worker", "false", "110152"),
    ]


def test_export_names_user_service_and_file() -> None:
    root = message_of(AuditEvent.EXPORT)

    assert root.find("EventIdentification").get("EventActionCode") == "R"
    assert participants(root) == [
        ("alice", "true", "110153"),
        ("osteoscreen worker", "false", "110153"),
        ("labels.csv", "false", "110154"),
    ]
    media = root.find("ActiveParticipant[MediaIdentifier]")
    assert media.find("MediaIdentifier/MediaType").get("csd-code") == "110037"
    # Required where the file leaves by the network.
    assert media.get("NetworkAccessPointID") == "10.0.0.9"


def test_export_names_its_studies_and_each_patient_once() -> None:
    studies = {"1.2": "P1", "1.3": "P1", "1.4": None}
    objects = [
        (
            one.find("ParticipantObjectIDTypeCode").get("csd-code"),
            one.get("ParticipantObjectID"),
        )
        for one in message_of(AuditEvent.EXPORT, studies=studies).findall(
            "ParticipantObjectIdentification"
        )
    ]

    assert objects == [
        ("12", "labels.csv"),
        *(("110180", uid) for uid in studies),
        ("2", "P1"),
        ("2", ""),
    ]


def test_longest_export_is_one_that_every_repository_takes() -> None:
    longest = {
        f"1.{number:062d}": f"{number:04d}{'&' * 60}" for number in range(STUDIES_PER_MESSAGE)
    }
    facts = Facts(
        AuditEvent.EXPORT, AT, "review", "h" * 64, "\u00e4" * 128, file="labels.csv",
        studies=longest,
    )  # fmt: skip

    body = audit_message(facts)
    message = syslog_message(body, at=AT, host="h" * 64, process="4194304")

    assert body.count(b"<ParticipantObjectIdentification ") == 1 + 2 * STUDIES_PER_MESSAGE
    assert 20_000 < len(message) <= 32_768  # PS3.15 A.6


def participants(root: Any) -> list[tuple[str, str, str]]:
    return [
        (
            one.get("UserID"),
            one.get("UserIsRequestor"),
            one.find("RoleIDCode").get("csd-code"),
        )
        for one in root.findall("ActiveParticipant")
    ]


def test_refused_login_is_a_failure() -> None:
    outcomes = {
        event: message_of(event).find("EventIdentification").get("EventOutcomeIndicator")
        for event in (AuditEvent.LOGIN, AuditEvent.LOGIN_REFUSED)
    }

    assert outcomes == {AuditEvent.LOGIN: "0", AuditEvent.LOGIN_REFUSED: "4"}


def test_image_without_patient_id_has_an_empty_one() -> None:
    root = message_of(AuditEvent.RECEIVED, patient_id=None)

    assert root.findall("ParticipantObjectIdentification")[1].get("ParticipantObjectID") == ""


def test_syslog_header_is_that_of_rfc_5424() -> None:
    message = syslog_message(b"<AuditMessage/>", at=AT, host="h\u00f6st 1", process="77")

    assert message == (
        b"<85>1 2026-11-30T20:15:00.123Z hst1 osteoscreen 77 DICOM+RFC3881 - "
        b"\xef\xbb\xbf<AuditMessage/>"
    )
    assert AT.astimezone(UTC).hour == 20
