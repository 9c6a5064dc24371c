"""Audit messages in the schema of DICOM PS3.15 A.5.1. Pure: facts in, XML out."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from xml.etree.ElementTree import Element, SubElement, tostring

Code = tuple[str, str, str]
"""Code value, coding scheme, meaning."""
SOURCE_PROCESS: Code = ("110153", "DCM", "Source Role ID")
DESTINATION_PROCESS: Code = ("110152", "DCM", "Destination Role ID")
APPLICATION: Code = ("110150", "DCM", "Application")
STUDY_UID: Code = ("110180", "DCM", "Study Instance UID")
PATIENT_NUMBER: Code = ("2", "RFC-3881", "Patient Number")
SEARCH_CRITERIA: Code = ("10", "RFC-3881", "Search Criteria")
URI: Code = ("12", "RFC-3881", "URI")
DESTINATION_MEDIA: Code = ("110154", "DCM", "Destination Media")
URI_MEDIA: Code = ("110037", "DCM", "URI")
MACHINE_NAME, IP_ADDRESS = "1", "2"
SUCCESS, MINOR_FAILURE = "0", "4"


class AuditEvent(StrEnum):
    """Events that are audited."""

    START = "start"
    """A service has started."""
    STOP = "stop"
    """A service ends."""
    LOGIN = "login"
    LOGOUT = "logout"
    """Of a user of the review page."""
    LOGIN_REFUSED = "login_refused"
    READ = "read"
    """A user saw the result of a patient."""
    RECEIVED = "received"
    """Instances of a series were received."""
    SENT = "sent"
    """An object was accepted by a destination."""
    QUERY = "query"
    """A user searched or filtered studies."""
    EXPORT = "export"
    """A user wrote a file from the record."""
    DELETED = "deleted"
    """An operator erased a study of a patient."""


@dataclass(frozen=True, slots=True)
class _Kind:
    event: Code
    action: str
    type: Code | None = None
    outcome: str = SUCCESS


_AUTHENTICATION: Code = ("110114", "DCM", "User Authentication")
_ACTIVITY: Code = ("110100", "DCM", "Application Activity")
_TRANSFERRED: Code = ("110104", "DCM", "DICOM Instances Transferred")
_LOGIN: Code = ("110122", "DCM", "Login")
_KINDS: Mapping[AuditEvent, _Kind] = {
    AuditEvent.START: _Kind(_ACTIVITY, "E", ("110120", "DCM", "Application Start")),
    AuditEvent.STOP: _Kind(_ACTIVITY, "E", ("110121", "DCM", "Application Stop")),
    AuditEvent.LOGIN: _Kind(_AUTHENTICATION, "E", _LOGIN),
    AuditEvent.LOGIN_REFUSED: _Kind(_AUTHENTICATION, "E", _LOGIN, MINOR_FAILURE),
    AuditEvent.LOGOUT: _Kind(_AUTHENTICATION, "E", ("110123", "DCM", "Logout")),
    AuditEvent.READ: _Kind(("110110", "DCM", "Patient Record"), "R"),
    AuditEvent.RECEIVED: _Kind(_TRANSFERRED, "C"),
    AuditEvent.SENT: _Kind(_TRANSFERRED, "C"),
    AuditEvent.QUERY: _Kind(("110112", "DCM", "Query"), "E"),
    AuditEvent.EXPORT: _Kind(("110106", "DCM", "Export"), "R"),
    AuditEvent.DELETED: _Kind(("110105", "DCM", "DICOM Study Deleted"), "D"),
}
"""Tables of PS3.15 A.5.3, found there by the code."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What an audit message says; see PS3.15 A.5.3 for what an event needs.

    ``service`` : of osteoscreen, which reports. ``user`` : of the review page. ``peer`` : AE
    title or name of the other side of a transfer. ``address`` : of the user or the peer.
    ``instances`` : number by SOP Class UID. ``query`` : what was searched for. ``file`` : name
    of the exported file; ``studies`` : patient ID by Study Instance UID of what it contains.
    """

    event: AuditEvent
    at: datetime
    service: str
    host: str
    user: str | None = None
    address: str | None = None
    peer: str | None = None
    patient_id: str | None = None
    study_instance_uid: str | None = None
    instances: Mapping[str, int] = field(default_factory=dict)
    query: str | None = None
    file: str | None = None
    studies: Mapping[str, str | None] = field(default_factory=dict)


def audit_message(facts: Facts) -> bytes:
    """Return the message as XML in UTF-8, without a declaration."""
    kind = _KINDS[facts.event]
    root = Element("AuditMessage")
    event = SubElement(
        root,
        "EventIdentification",
        EventActionCode=kind.action,
        EventDateTime=facts.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=kind.outcome,
    )
    _code(event, "EventID", kind.event)
    if kind.type is not None:
        _code(event, "EventTypeCode", kind.type)
    _participants(root, facts)
    SubElement(root, "AuditSourceIdentification", AuditSourceID=f"osteoscreen@{facts.host}")
    if facts.query is not None:
        _query(root, facts.query)
    if facts.file is not None:
        _object(root, URI, _text(facts.file), type_code="2", role="3")
    for uid in facts.studies:
        _study(root, uid, {})
    if facts.study_instance_uid is not None:
        _study(root, facts.study_instance_uid, facts.instances)
    for patient in dict.fromkeys(facts.studies.values()):
        _object(root, PATIENT_NUMBER, _text(patient or ""), type_code="1", role="1")
    # The ID of a patient is mandatory; there are images without one.
    if facts.study_instance_uid is not None or facts.patient_id is not None:
        _object(root, PATIENT_NUMBER, _text(facts.patient_id or ""), type_code="1", role="1")
    return tostring(root, encoding="unicode").encode()


def _participants(root: Element, facts: Facts) -> None:
    process = f"osteoscreen {facts.service}"
    if facts.event in {AuditEvent.RECEIVED, AuditEvent.SENT}:
        received = facts.event is AuditEvent.RECEIVED
        peer = _text(facts.peer or "unknown")
        peer_role = SOURCE_PROCESS if received else DESTINATION_PROCESS
        own_role = DESTINATION_PROCESS if received else SOURCE_PROCESS
        _participant(root, peer, peer_role, received, (facts.address, IP_ADDRESS))
        _participant(root, process, own_role, not received, (facts.host, MACHINE_NAME))
        return
    if facts.user is not None:
        # Tables A.5.3.4-1 and A.5.3.10-1: the user asks, or takes a copy from the service.
        is_source = facts.event in {AuditEvent.QUERY, AuditEvent.EXPORT}
        user_role = SOURCE_PROCESS if is_source else None
        _participant(root, _text(facts.user), user_role, True, (facts.address, IP_ADDRESS))
    own_roles = {
        AuditEvent.START: APPLICATION,
        AuditEvent.STOP: APPLICATION,
        AuditEvent.EXPORT: SOURCE_PROCESS,
    }
    role = own_roles.get(facts.event, DESTINATION_PROCESS)
    _participant(root, process, role, False, (facts.host, MACHINE_NAME))
    if facts.file is not None:
        _media(root, _text(facts.file), facts.address)


def _participant(
    root: Element,
    user_id: str,
    role: Code | None,
    requestor: bool,
    access_point: tuple[str | None, str],
) -> Element:
    attributes = {"UserID": user_id, "UserIsRequestor": str(requestor).lower()}
    if access_point[0]:
        attributes["NetworkAccessPointID"] = access_point[0]
        attributes["NetworkAccessPointTypeCode"] = access_point[1]
    participant = SubElement(root, "ActiveParticipant", attributes)
    if role is not None:
        _code(participant, "RoleIDCode", role)
    return participant


def _media(root: Element, file: str, address: str | None) -> None:
    """Append the file; ``address`` : where it was sent, None on the host itself."""
    participant = _participant(root, file, DESTINATION_MEDIA, False, (address, IP_ADDRESS))
    _code(SubElement(participant, "MediaIdentifier"), "MediaType", URI_MEDIA)


def _query(root: Element, query: str) -> None:
    """Append what a user asked; it is no DICOM query (note 2 of PS3.15 A.5.3.10)."""
    found = _object(root, SEARCH_CRITERIA, "review page", type_code="2", role="3")
    found.remove(found[-1])  # the name: either it or the query
    SubElement(found, "ParticipantObjectQuery").text = b64encode(query.encode()).decode()


def _study(root: Element, uid: str, instances: Mapping[str, int]) -> None:
    study = _object(root, STUDY_UID, uid, type_code="2", role="3")
    if instances:
        description = SubElement(study, "ParticipantObjectDescription")
        for sop_class, number in instances.items():
            SubElement(description, "SOPClass", UID=sop_class, NumberOfInstances=str(number))


def _object(
    root: Element, id_type: Code, identifier: str, *, type_code: str, role: str
) -> Element:
    found = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=identifier,
        ParticipantObjectTypeCode=type_code,
        ParticipantObjectTypeCodeRole=role,
    )
    _code(found, "ParticipantObjectIDTypeCode", id_type)
    SubElement(found, "ParticipantObjectName").text = identifier
    return found


def _code(parent: Element, name: str, code: Code) -> None:
    value, scheme, meaning = code
    attributes = {"csd-code": value, "codeSystemName": scheme, "originalText": meaning}
    SubElement(parent, name, attributes)


def _text(value: str) -> str:
    """Return a text without characters that XML 1.0 cannot contain."""
    return "".join(one if one >= " " and one not in "\ufffe\uffff" else " " for one in value)
