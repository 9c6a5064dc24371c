"""STOW-RS and QIDO-RS as a client (PS3.18 10.5 and 10.6)."""

import io
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import requests
from pydicom import dcmread

from db.tls import SYSTEM, Tls
from peers.web import json_of, open_session, value_of
from worker.outcomes import Accepted, Outcome, Unreachable, of_http, of_status
from worker.settings import DicomwebDestination

TIMEOUT_SECONDS = (10, 60)  # to connect, to answer

# PS3.18 10.5.3.1, PS3.6: the store instances response module.
REFERENCED_SOP_SEQUENCE = "00081199"
FAILED_SOP_SEQUENCE = "00081198"
REFERENCED_SOP_INSTANCE_UID = "00081155"
FAILURE_REASON = "00081197"

READ_AND_EMPTY = (400, 409, 422)
"""What servers say of a message without a part once they have read it."""


def store_stow_rs(
    paths: Sequence[Path], destination: DicomwebDestination, *, tls: Tls = SYSTEM
) -> dict[str, Outcome]:
    """Send all objects in one request, bytes as on disk; the outcome of each SOP Instance UID.

    What was accepted is looked for by QIDO-RS where the destination answers it.
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
    except OSError as error:  # requests' own errors are, and ssl's
        return dict.fromkeys(uids, _no_connection(error))
    return outcomes


def search_qido_rs(destination: DicomwebDestination, *, tls: Tls = SYSTEM) -> Outcome:
    """Ask for one study: does the server talk DICOMweb with us?"""
    try:
        with open_session(destination, tls) as session:
            url = f"{destination.root}/studies"
            answer = session.get(url, params={"limit": 1}, timeout=TIMEOUT_SECONDS)
    except OSError as error:
        return _no_connection(error)
    return of_http(answer.status_code, answer.headers.get("Retry-After"))


def probe_stow_rs(destination: DicomwebDestination, *, tls: Tls = SYSTEM) -> Outcome:
    """Send a message without a part: is STOW-RS there, and may we? Nothing is left behind."""
    try:
        with open_session(destination, tls) as session:
            answer = _post(session, destination, ())
    except OSError as error:
        return _no_connection(error)
    if answer.status_code in READ_AND_EMPTY:
        return Accepted(f"HTTP {answer.status_code}")
    return of_http(answer.status_code, answer.headers.get("Retry-After"))


def _no_connection(error: OSError) -> Unreachable:
    # The class alone: the text of the error repeats the URL with all that is in it.
    return Unreachable("no connection", f"no answer from the server ({type(error).__name__})")


def _store(
    session: requests.Session,
    destination: DicomwebDestination,
    uids: Sequence[str],
    files: Sequence[bytes],
) -> dict[str, Outcome]:
    answer = _post(session, destination, files)
    whole = of_http(answer.status_code, answer.headers.get("Retry-After"))
    report = json_of(answer)
    if isinstance(whole, Accepted) and _items(report, REFERENCED_SOP_SEQUENCE):
        # It names what it stored: what it does not name is not there.
        whole = Unreachable(whole.status, "the server does not say that it stored this object")
    outcomes: dict[str, Outcome] = dict.fromkeys(uids, whole)
    for item in _items(report, REFERENCED_SOP_SEQUENCE):
        outcomes[value_of(item, REFERENCED_SOP_INSTANCE_UID)] = Accepted(
            f"HTTP {answer.status_code}"
        )
    for item in _items(report, FAILED_SOP_SEQUENCE):
        reason = of_status(int(value_of(item, FAILURE_REASON) or 0x0110))
        outcomes[value_of(item, REFERENCED_SOP_INSTANCE_UID)] = reason
    return {uid: outcomes[uid] for uid in uids}


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
    )


def _multipart(files: Iterable[bytes], boundary: str) -> bytes:
    """PS3.18 8.6.1.2.1: one part a file."""
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
    return isinstance(found, list) and len(found) > 0


def _items(report: Any, tag: str) -> list[dict[str, Any]]:
    # Some servers wrap the one response data set in a list.
    ds = report[0] if isinstance(report, list) and report else report
    return list(ds.get(tag, {}).get("Value", [])) if isinstance(ds, dict) else []
