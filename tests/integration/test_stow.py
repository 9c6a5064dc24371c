"""Covered: STOW-RS on its port, with dicomweb-client, requests, Orthanc and raw sockets as
clients: what is stored and answered, who is refused, hostile and slow bodies, TLS.

Not covered: HTTP/2, which uvicorn does not speak.
"""

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from dicomweb_client import DICOMwebClient
from dicomweb_client.session_utils import create_session
from pydicom import Dataset, dcmread
from pydicom.uid import MRImageStorage

from deploy.embedded import free_port
from deploy.processes import Process
from storescp.operation import Intake
from storescp.part10 import read_header
from storescp.stow import server as stow_server
from storescp.stow.server import StowServer
from tests.certificates import Authority
from tests.ct_factory import (
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    ct_instance,
    ct_series,
    encode,
    write_files,
)
from tests.integration.door import Door
from tests.servers import Orthanc, listens, wait_for

pytestmark = pytest.mark.servers
TOKEN = "open-sesame"  # noqa: S105
FILE_TYPE = 'multipart/related; type="application/dicom"; boundary=b'
REFERENCED, FAILED, OTHERS = "00081199", "00081198", "0008119A"
SOP_INSTANCE, REASON = "00081155", "00081197"
Open = Callable[..., Door]


@pytest.fixture
def open_stow(spool_dir: Path) -> Iterator[Open]:
    """Start STOW-RS in a thread with these settings; a Door whose own server stays closed."""
    with ExitStack() as stack:

        def start(**values: object) -> Door:
            door = Door(
                spool_dir,
                **{"stow_port": free_port(), "stow_token": TOKEN, **values},
            )
            server = StowServer(
                door.settings, Intake(door.writer, door.settings, door.arrivals)
            )
            server.start()
            stack.callback(server.stop)
            wait_for(lambda: listens(door.settings.stow_port or 0), "STOW-RS")
            return door

        yield start


def url(door: Door, path: str = "/studies", scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{door.settings.stow_port}{path}"


def files(instances: list[Dataset], folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in write_files(instances, folder)]


def body_of(contents: list[bytes]) -> bytes:
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + one + b"\r\n" for one in contents) + b"--b--\r\n"


def post(door: Door, body: Any, path: str = "/studies", **headers: str) -> requests.Response:
    sent = {"Content-Type": FILE_TYPE, "Authorization": f"Bearer {TOKEN}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return requests.post(url(door, path), data=body, headers=sent, timeout=30)


def named(answer: requests.Response, tag: str) -> list[Any]:
    """UIDs (or reasons, where there are none) of a sequence of the response data set."""
    items = answer.json().get(tag, {}).get("Value", [])
    return [
        item[SOP_INSTANCE if SOP_INSTANCE in item else REASON]["Value"][0] for item in items
    ]


def test_a_client_stores_a_series_as_it_is(open_stow: Open, tmp_path: Path) -> None:
    door = open_stow()
    instances = ct_series(5, size=256)
    paths = write_files(instances, tmp_path / "in")
    session = create_session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    client = DICOMwebClient(url(door, ""), session=session)

    answer = client.store_instances([dcmread(path) for path in paths])

    assert len(answer.ReferencedSOPSequence) == 5
    assert "FailedSOPSequence" not in answer
    for ds in instances:
        path = door.path_of(ds)
        assert path.read_bytes()[read_header(path).data_set_offset :] == encode(ds)
    assert len(door.files()) == 5
    done = door.arrivals.complete(now=time.monotonic() + 3, quiet_seconds=10)
    assert [(one.completed_by, one.instances) for one in done] == [("released", 5)]


def test_orthanc_pushes_a_study_and_it_is_registered_like_any_other(
    orthanc: Orthanc,
    child_settings: dict[str, object],
    start_storescp: Callable[[dict[str, object]], Process],
    tmp_path: Path,
) -> None:
    port = free_port()
    process = start_storescp(child_settings | {"STOW_PORT": port, "STOW_TOKEN": TOKEN})
    instances = ct_series(12, size=128)
    for content in files(instances, tmp_path / "in"):
        request = requests.post(f"{orthanc.url}/instances", data=content, timeout=30)
        request.raise_for_status()
    server = {
        "Url": f"http://127.0.0.1:{port}/",
        "HttpHeaders": {"Authorization": f"Bearer {TOKEN}"},
    }
    orthanc.request("/dicom-web/servers/us", server, method="PUT")
    (study,) = orthanc.get("/studies")

    job = json.loads(
        orthanc.request("/dicom-web/servers/us/stow", {"Resources": [study]}, method="POST")
    )

    assert int(str(job["InstancesCount"])) == 12, job
    wait_for(lambda: "series_queued" in process.log, "the registration")
    assert "instances=12" in process.log
    for secret in (PATIENT_NAME, PATIENT_ID, PATIENT_BIRTH_DATE, TOKEN):
        assert secret not in process.log
    assert process.stop() == 0


def test_each_instance_has_its_own_answer(open_stow: Open, tmp_path: Path) -> None:
    door = open_stow()
    good, mr = ct_instance(), ct_instance(SOPClassUID=MRImageStorage)

    answer = post(door, body_of([*files([good, mr], tmp_path), b"not DICOM" * 50]))

    assert answer.status_code == 202
    assert answer.headers["Content-Type"].startswith("application/dicom+json")
    assert named(answer, REFERENCED) == [good.SOPInstanceUID]
    assert named(answer, FAILED) == [mr.SOPInstanceUID]
    assert named(answer, OTHERS) == [0xC000]
    assert answer.json()[FAILED]["Value"][0][REASON]["Value"] == [0x0122]
    assert door.files() == [door.path_of(good)]


def test_nothing_stored_is_a_conflict_and_again_is_a_success(
    open_stow: Open, tmp_path: Path
) -> None:
    door = open_stow()
    ds = ct_instance()
    body = body_of(files([ds], tmp_path))

    conflict = post(door, body, path="/studies/1.2.3")
    stored = [post(door, body, path=f"/studies/{ds.StudyInstanceUID}") for _ in range(2)]

    assert conflict.status_code == 409
    assert conflict.json()[FAILED]["Value"][0][REASON]["Value"] == [0xA900]
    assert [one.status_code for one in stored] == [200, 200]
    assert len(door.files()) == 1


@pytest.mark.parametrize(
    ("settings", "headers", "path", "status"),
    [
        ({}, {"Authorization": "Bearer guess"}, "/studies", 401),
        ({}, {"Authorization": f"Basic {TOKEN}"}, "/studies", 401),
        ({}, {"Authorization": ""}, "/studies", 401),
        ({"allowed_peers": "10.0.0.1"}, {}, "/studies", 403),
        ({}, {"Content_Type": "application/dicom"}, "/studies", 415),
        ({}, {"Content_Type": FILE_TYPE.replace("dicom", "dicom+xml")}, "/studies", 415),
        ({}, {"Content_Type": FILE_TYPE.replace("boundary=b", "")}, "/studies", 400),
        ({}, {"Accept": "application/dicom+xml"}, "/studies", 406),
        ({}, {}, "/studies/..%2f..%2fetc", 404),
        ({}, {}, "/studies/1.2.x", 400),
        ({}, {}, "/elsewhere", 404),
        ({"min_free_mb": 10**9}, {}, "/studies", 503),
        ({"stow_max_request_mb": 1}, {}, "/studies", 413),
        ({"max_instance_mb": 1}, {}, "/studies", 413),
    ],
)
def test_what_is_refused_is_said_as_the_standard_says_it(
    settings: dict[str, object],
    headers: dict[str, str],
    path: str,
    status: int,
    open_stow: Open,
    tmp_path: Path,
) -> None:
    door = open_stow(**settings)

    answer = post(door, body_of(files([ct_instance(size=1024)], tmp_path)), path, **headers)

    assert answer.status_code == status, answer.text
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert door.files() == []
    assert door.arrivals.open_associations() == 0


def test_a_large_body_is_bounded_also_where_its_length_is_not_told(
    open_stow: Open, tmp_path: Path
) -> None:
    door = open_stow(stow_max_request_mb=1)
    body = body_of(files([ct_instance(size=1024)], tmp_path))
    parts = (body[start : start + 65_536] for start in range(0, len(body), 65_536))

    assert post(door, parts).status_code == 413
    assert door.files() == []


def test_a_part_of_another_type_is_refused(open_stow: Open) -> None:
    body = b"--b\r\nContent-Type: image/jpeg\r\n\r\nx\r\n--b--\r\n"

    assert post(open_stow(), body).status_code == 415


def test_without_a_token_only_where_that_is_said(open_stow: Open, tmp_path: Path) -> None:
    door = open_stow(stow_token=None, stow_host="127.0.0.1")

    answer = post(door, body_of(files([ct_instance()], tmp_path)), Authorization="")

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b--\r\n",
        b"--c\r\nContent-Type: application/dicom\r\n\r\nx\r\n--c--\r\n",
        b"--b\r\nContent-Type: application/dicom\r\n\r\nDICM",
        b"--b\r\n" + b"X: y\r\n" * 100_000,
        b"--b\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        bytes(range(256)) * 100,
    ],
)
def test_a_body_that_is_none_is_a_bad_request(body: bytes, open_stow: Open) -> None:
    door = open_stow()

    assert post(door, body).status_code == 400
    assert door.files() == []


def test_a_body_that_breaks_off_keeps_what_was_whole_and_says_so(
    open_stow: Open, tmp_path: Path
) -> None:
    door = open_stow()
    instances = ct_series(2)
    body = body_of(files(instances, tmp_path))

    answer = post(door, body[:-20])

    assert answer.status_code == 400
    assert named(answer, REFERENCED) == [instances[0].SOPInstanceUID]
    assert door.files() == [door.path_of(instances[0])]


@pytest.mark.parametrize("uid", ["../../../x", "1.2/../3", "a.b", "1..2"])
def test_a_uid_with_path_characters_reaches_no_path(
    uid: str, open_stow: Open, tmp_path: Path
) -> None:
    door = open_stow()
    ds = ct_instance()
    (content,) = files([ds], tmp_path)
    for old in (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID):
        wrong = content.replace(old.encode(), uid.encode().ljust(len(old), b"\0"))
        answer = post(door, body_of([wrong]))
        assert answer.status_code == 409
    assert door.files() == []
    assert not list(tmp_path.parent.rglob("x.dcm"))


@contextmanager
def connected(door: Door) -> Iterator[socket.socket]:
    address = ("127.0.0.1", door.settings.stow_port)
    with socket.create_connection(address, timeout=20) as connection:
        yield connection


def head(length: int = 10_000, *more: str) -> bytes:
    lines = [
        "POST /studies HTTP/1.1",
        "Host: x",
        f"Content-Type: {FILE_TYPE}",
        f"Authorization: Bearer {TOKEN}",
        f"Content-Length: {length}",
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def test_a_silent_sender_is_told_and_leaves_nothing(open_stow: Open) -> None:
    door = open_stow(stall_seconds=1)
    with connected(door) as connection:
        connection.sendall(head() + body_of([bytes(128) + b"DICM"])[:100])
        answer = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert door.files() == []
    assert door.arrivals.open_associations() == 0


def test_a_trickling_sender_is_told(open_stow: Open) -> None:
    door = open_stow(stall_seconds=1, min_kb_per_second=4)
    answer = b""
    with connected(door) as connection:
        connection.sendall(head())
        connection.settimeout(0.2)
        deadline = time.monotonic() + 10
        while not answer and time.monotonic() < deadline:
            connection.sendall(b"-")
            try:
                answer = connection.recv(4096)
            except TimeoutError:
                continue

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_goes_leaves_nothing(open_stow: Open, tmp_path: Path) -> None:
    door = open_stow()
    body = body_of(files([ct_instance(size=512)], tmp_path))
    with connected(door) as connection:
        connection.sendall(head(len(body)) + body[:300_000])
        wait_for(lambda: door.arrivals.open_associations(), "the request")

    wait_for(lambda: not door.arrivals.open_associations(), "the end of the request")
    wait_for(lambda: not door.files(), "the spool to be empty")


def test_headers_without_end_are_not_waited_for(
    open_stow: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stow_server, "HEADER_SECONDS", 1.0)
    door = open_stow()
    with connected(door) as silent, connected(door) as slow, connected(door) as large:
        slow.sendall(b"POST /studies HTTP/1.1\r\nHost: x\r\nX: ")
        large.sendall(b"POST /studies HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000)
        answers = [closed(connection) for connection in (silent, slow)]
        refused = large.recv(4096)

    assert answers == [b"", b""]
    assert refused.startswith(b"HTTP/1.1 400 ")


def closed(connection: socket.socket) -> bytes:
    try:
        return connection.recv(4096)
    except ConnectionResetError:
        return b""


def test_who_waits_for_a_word_hears_the_refusal_before_sending(open_stow: Open) -> None:
    door = open_stow(stow_max_request_mb=1)
    with connected(door) as connection:
        connection.sendall(head(10**8, "Expect: 100-continue"))
        answer = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_silent_connections_of_one_address_leave_room_for_others(
    open_stow: Open, tmp_path: Path
) -> None:
    door = open_stow(max_associations=1)
    room = (2 + stow_server.SPARE_CONNECTIONS) // 2
    body = body_of(files([ct_instance()], tmp_path))
    address = ("127.0.0.1", door.settings.stow_port or 0)
    request = head(len(body)) + body

    with ExitStack() as stack:
        silent = [stack.enter_context(connected(door)) for _ in range(room)]
        beyond = [stack.enter_context(connected(door)) for _ in range(5)]
        refused = [closed(connection) for connection in beyond]
        other = socket.create_connection(address, timeout=20, source_address=("127.0.0.2", 0))
        with other:
            other.sendall(request)
            answer = other.recv(4096)
        held = [connection for connection in silent if not ended(connection)]

    def has_room() -> bool:
        with suppress(requests.ConnectionError):
            return post(door, body).status_code == 200
        return False

    wait_for(has_room, "room for this address again")

    assert refused == [b""] * 5
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert len(held) >= room - 1  # that of the fixture may still have been closing


def ended(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False


@pytest.mark.parametrize("path", ["/studies", "/nowhere", "/studies/"])
def test_a_body_that_stops_being_http_is_answered_once(
    path: str, open_stow: Open, caplog: pytest.LogCaptureFixture
) -> None:
    door = open_stow()
    start = head(0, "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
    start = start.replace(b"/studies", path.encode())
    with connected(door) as early, connected(door) as late:
        early.sendall(start + b"zz\r\n")
        late.sendall(start)
        time.sleep(0.2)  # until what can be refused without a body has been
        late.sendall(b"zz\r\n")
        answers = [all_of(early), all_of(late)]

    expected = b"400" if path == "/studies" else b"404"
    assert answers[0][9:12] in (b"400", expected)
    assert answers[1][9:12] == expected
    assert [answer.count(b"HTTP/1.1 ") for answer in answers] == [1, 1]
    wait_for(lambda: not door.arrivals.open_associations(), "the end of the requests")
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


def all_of(connection: socket.socket) -> bytes:
    answer = b""
    while part := closed(connection):
        answer += part
    return answer


def test_senders_of_both_kinds_are_counted_together(open_stow: Open, tmp_path: Path) -> None:
    door = open_stow(max_associations=1)
    body = body_of(files([ct_instance()], tmp_path))
    with connected(door) as connection:
        connection.sendall(head())
        wait_for(lambda: door.arrivals.open_associations(), "the request")
        refused = post(door, body)

    assert refused.status_code == 503
    wait_for(lambda: not door.arrivals.open_associations(), "the end of the request")
    assert post(door, body).status_code == 200


def test_by_tls_of_our_profile_only(open_stow: Open, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    us = authority.issue("us")
    door = open_stow(tls_cert=us.cert, tls_key=us.key)
    body = body_of(files([ct_instance()], tmp_path))
    headers = {"Content-Type": FILE_TYPE, "Authorization": f"Bearer {TOKEN}"}

    answer = requests.post(
        url(door, scheme="https"), data=body, headers=headers, verify=authority.ca, timeout=30
    )

    assert answer.status_code == 200
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("AES128-SHA256")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with connected(door) as connection, pytest.raises((ssl.SSLError, ConnectionError)):
        old.wrap_socket(connection)
