"""STOW-RS and QIDO-RS as a client (PS3.18 10.5 and 10.6)."""

import io
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

import requests
from pydicom import dcmread

from common.dicomnet.connection_errors import describe_connection, is_before_request
from common.dicomnet.dicomweb import JSON, json_of, open_session, read_at_most, value_of
from common.dicomnet.multipart import boundary_of
from common.dicomnet.status import PROCESSING_FAILURE
from common.settings.worker import DicomwebDestination
from common.tls import SYSTEM, Tls
from worker.delivery.result import Accepted, Outcome, Unreachable, of_http, of_status
from worker.delivery.stow_response import (
    MAX_BYTES,
    XML,
    NotUnderstood,
    StowResponse,
    read_response,
)

TIMEOUT_SECONDS = (10, 60)  # to connect, to answer

SOP_INSTANCE_UID = "00080018"
NOT_UNDERSTOOD = "response not understood"
EMPTY_MESSAGE_STATUSES = (400, 409, 422)
"""HTTP statuses by which servers answer a message without parts, once they have read it."""


def store_stow_rs(
    paths: Sequence[Path], destination: DicomwebDestination, *, tls: Tls = SYSTEM
) -> dict[str, Outcome]:
    """Send all files unchanged in one request; return outcomes by SOP Instance UID.

    Accepted objects are confirmed by QIDO-RS if the destination answers it.
    """
    files = [path.read_bytes() for path in paths]
    headers = [dcmread(io.BytesIO(data), stop_before_pixels=True) for data in files]
    uids = [str(ds.SOPInstanceUID) for ds in headers]
    try:
        with open_session(destination, tls) as session:
            outcomes = _store(session, destination, uids, files)
            for ds, uid in zip(headers, uids, strict=True):
                outcome = outcomes[uid]
                if isinstance(outcome, Accepted):
                    path = f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}"
                    confirmed = _holds(session, f"{destination.root}{path}/instances", uid)
                    outcomes[uid] = Accepted(outcome.status, "query" if confirmed else None)
    except OSError as error:  # base class of the errors of requests and ssl
        return dict.fromkeys(uids, _no_connection(error))
    return outcomes


def search_qido_rs(destination: DicomwebDestination, *, tls: Tls = SYSTEM) -> Outcome:
    """Query one study, to test whether the server answers QIDO-RS."""
    try:
        with open_session(destination, tls) as session:
            url = f"{destination.root}/studies"
            answer = session.get(
                url,
                params={"limit": 1},
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                stream=True,
            )
            answer.close()
    except OSError as error:
        return _no_connection(error)
    return _understood(_of_answer(answer), answer)


def probe_stow_rs(destination: DicomwebDestination, *, tls: Tls = SYSTEM) -> Outcome:
    """Send a message without parts, to test STOW-RS and our access; nothing is stored."""
    try:
        with (
            open_session(destination, tls) as session,
            _post(session, destination, ()) as answer,
        ):
            body = read_at_most(answer, MAX_BYTES + 1)
    except OSError as error:
        return _no_connection(error)
    if answer.status_code in EMPTY_MESSAGE_STATUSES:
        return Accepted(f"HTTP {answer.status_code}")
    outcome = _of_answer(answer)
    if isinstance(outcome, Accepted):
        try:
            read_response(answer.headers.get("Content-Type", ""), body, strict=True)
        except NotUnderstood as error:
            return Unreachable(outcome.status, f"{NOT_UNDERSTOOD}: {error}")
    return outcome


def _of_answer(answer: requests.Response) -> Outcome:
    headers = answer.headers
    return of_http(answer.status_code, headers.get("Retry-After"), headers.get("Location"))


def _understood(outcome: Outcome, answer: requests.Response) -> Outcome:
    """Return ``outcome``, unless an accepting answer has a body of another media type."""
    media_type, part_type, _ = boundary_of(answer.headers.get("Content-Type", ""))
    if not isinstance(outcome, Accepted) or answer.status_code == requests.codes.no_content:
        return outcome
    if {media_type, part_type} & {JSON, XML, "application/json"}:
        return outcome
    what = f"the answer is {media_type[:64] or 'of no media type'}"
    return Unreachable(outcome.status, f"{NOT_UNDERSTOOD}: {what}", blocks_destination=True)


def _no_connection(error: OSError) -> Unreachable:
    # Not the message of the error: it repeats the URL, which may hold credentials.
    text = describe_connection(error)
    return Unreachable("no connection", text, blocks_destination=is_before_request(error))


def _store(
    session: requests.Session,
    destination: DicomwebDestination,
    uids: Sequence[str],
    files: Sequence[bytes],
) -> dict[str, Outcome]:
    with _post(session, destination, files) as answer:
        body = read_at_most(answer, MAX_BYTES + 1)
    whole = _of_answer(answer)
    try:
        response = read_response(answer.headers.get("Content-Type", ""), body)
    except NotUnderstood as error:
        if isinstance(whole, Accepted) or answer.status_code == requests.codes.conflict:
            whole = Unreachable(f"HTTP {answer.status_code}", f"{NOT_UNDERSTOOD}: {error}")
        return dict.fromkeys(uids, whole)
    return {uid: _of_instance(uid, response, whole, answer.status_code) for uid in uids}


def _of_instance(uid: str, response: StowResponse, whole: Outcome, code: int) -> Outcome:
    if uid in response.failed:
        return of_status(response.failed[uid] or PROCESSING_FAILURE)
    if uid in response.stored and isinstance(whole, Accepted):
        return whole
    if isinstance(whole, Accepted) or code == requests.codes.conflict:
        text = f"{NOT_UNDERSTOOD}: it does not name this object"
        return Unreachable(f"HTTP {code}", text)
    return whole


def _post(
    session: requests.Session, destination: DicomwebDestination, files: Sequence[bytes]
) -> requests.Response:
    boundary = uuid.uuid4().hex
    content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
    return session.post(
        f"{destination.root}/studies",
        data=_multipart(files, boundary),
        headers={"Content-Type": content_type},
        timeout=TIMEOUT_SECONDS,
        allow_redirects=False,  # a redirected POST would arrive as a GET
        stream=True,
    )


def _multipart(files: Iterable[bytes], boundary: str) -> bytes:
    """Encode multipart/related with one part per file (PS3.18 8.6.1.2.1)."""
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join(
        (*(head + data + b"\r\n" for data in files), f"--{boundary}--\r\n".encode())
    )


def _holds(session: requests.Session, url: str, sop_instance_uid: str) -> bool:
    query = {"SOPInstanceUID": sop_instance_uid}
    try:
        answer = session.get(url, params=query, timeout=TIMEOUT_SECONDS)
    except requests.RequestException:
        return False
    found = json_of(answer) if answer.status_code == requests.codes.ok else None
    # A server that ignores the key lists other instances.
    uids = [value_of(one, SOP_INSTANCE_UID) for one in found] if isinstance(found, list) else []
    return sop_instance_uid in uids
