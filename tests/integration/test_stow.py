"""Covered: STOW-RS requests by dicomweb-client, requests and Orthanc: stored files, responses,
refused clients, invalid and hostile bodies.

Not covered: slow and broken connections, TLS (test_stow_connections.py); HTTP/2, which uvicorn
does not speak.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from dicomweb_client import DICOMwebClient
from dicomweb_client.session_utils import create_session
from pydicom import dcmread
from pydicom.uid import MRImageStorage

from common.spool.part10 import read_header
from deploy.demo.embedded import free_port
from deploy.demo.processes import Process
from storescp.stow import app as stow_app
from tests.support.ct_factory import (
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    ct_instance,
    ct_series,
    encode,
    write_files,
)
from tests.support.servers import Orthanc, wait_for
from tests.support.storage_scp import OpenStorageScp
from tests.support.stow_request import FILE_TYPE, TOKEN, body_of, files, post, url

pytestmark = pytest.mark.servers
REFERENCED, FAILED, OTHERS = "00081199", "00081198", "0008119A"
SOP_INSTANCE, REASON = "00081155", "00081197"


def named(answer: requests.Response, tag: str) -> list[Any]:
    """Return the UIDs, or else the reasons, in a sequence of the response data set."""
    items = answer.json().get(tag, {}).get("Value", [])
    return [
        item[SOP_INSTANCE if SOP_INSTANCE in item else REASON]["Value"][0] for item in items
    ]


@pytest.mark.covers("R2")
def test_a_client_stores_a_series_as_it_is(open_stow: OpenStorageScp, tmp_path: Path) -> None:
    scp = open_stow()
    instances = ct_series(5, size=256)
    paths = write_files(instances, tmp_path / "in")
    session = create_session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    client = DICOMwebClient(url(scp, ""), session=session)

    answer = client.store_instances([dcmread(path) for path in paths])

    assert len(answer.ReferencedSOPSequence) == 5
    assert "FailedSOPSequence" not in answer
    for ds in instances:
        path = scp.path_of(ds)
        assert path.read_bytes()[read_header(path).data_set_offset :] == encode(ds)
    assert len(scp.files()) == 5
    done = scp.pending.complete(now=time.monotonic() + 3, quiet_seconds=10)
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


def test_each_instance_has_its_own_answer(open_stow: OpenStorageScp, tmp_path: Path) -> None:
    scp = open_stow()
    good, mr = ct_instance(), ct_instance(SOPClassUID=MRImageStorage)

    answer = post(scp, body_of([*files([good, mr], tmp_path), b"not DICOM" * 50]))

    assert answer.status_code == 202
    assert answer.headers["Content-Type"].startswith("application/dicom+json")
    assert named(answer, REFERENCED) == [good.SOPInstanceUID]
    assert named(answer, FAILED) == [mr.SOPInstanceUID]
    assert named(answer, OTHERS) == [0xC000]
    assert answer.json()[FAILED]["Value"][0][REASON]["Value"] == [0x0122]
    assert scp.files() == [scp.path_of(good)]


def test_nothing_stored_is_a_conflict_and_again_is_a_success(
    open_stow: OpenStorageScp, tmp_path: Path
) -> None:
    scp = open_stow()
    ds = ct_instance()
    body = body_of(files([ds], tmp_path))

    conflict = post(scp, body, path="/studies/1.2.3")
    stored = [post(scp, body, path=f"/studies/{ds.StudyInstanceUID}") for _ in range(2)]

    assert conflict.status_code == 409
    assert conflict.json()[FAILED]["Value"][0][REASON]["Value"] == [0xA900]
    assert [one.status_code for one in stored] == [200, 200]
    assert len(scp.files()) == 1


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
def test_refusals_have_the_statuses_of_the_standard(
    settings: dict[str, object],
    headers: dict[str, str],
    path: str,
    status: int,
    open_stow: OpenStorageScp,
    tmp_path: Path,
) -> None:
    scp = open_stow(**settings)

    answer = post(scp, body_of(files([ct_instance(size=1024)], tmp_path)), path, **headers)

    assert answer.status_code == status, answer.text
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert scp.files() == []
    assert scp.associations.count() == 0


@pytest.mark.parametrize("part", [b"--b\r\n\r\n\r\n", b"--b\r\n\r\nnot DICOM\r\n"])
def test_many_parts_that_are_no_files_end_the_request(
    part: bytes, open_stow: OpenStorageScp
) -> None:
    scp = open_stow()

    answer = post(scp, part * 100_000 + b"--b--\r\n")

    assert answer.status_code == 400
    assert len(named(answer, OTHERS)) == stow_app.MAX_UNREADABLE_PARTS
    assert scp.files() == []


def test_a_request_has_a_largest_number_of_parts(
    open_stow: OpenStorageScp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stow_app, "MAX_PARTS", 2)
    scp = open_stow()

    answer = post(scp, body_of(files(ct_series(3), tmp_path)))

    assert answer.status_code == 413
    assert len(named(answer, REFERENCED)) == len(scp.files()) == 2


def test_a_large_body_without_a_length_is_refused(
    open_stow: OpenStorageScp, tmp_path: Path
) -> None:
    scp = open_stow(stow_max_request_mb=1)
    body = body_of(files([ct_instance(size=1024)], tmp_path))
    parts = (body[start : start + 65_536] for start in range(0, len(body), 65_536))

    assert post(scp, parts).status_code == 413
    assert scp.files() == []


def test_a_part_of_another_type_is_refused(open_stow: OpenStorageScp) -> None:
    body = b"--b\r\nContent-Type: image/jpeg\r\n\r\nx\r\n--b--\r\n"

    assert post(open_stow(), body).status_code == 415


def test_no_token_is_needed_only_where_none_is_set(
    open_stow: OpenStorageScp, tmp_path: Path
) -> None:
    scp = open_stow(stow_token=None, stow_host="127.0.0.1")

    answer = post(scp, body_of(files([ct_instance()], tmp_path)), Authorization="")

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
def test_an_invalid_body_is_a_bad_request(body: bytes, open_stow: OpenStorageScp) -> None:
    scp = open_stow()

    assert post(scp, body).status_code == 400
    assert scp.files() == []


def test_the_complete_parts_of_a_truncated_body_are_stored(
    open_stow: OpenStorageScp, tmp_path: Path
) -> None:
    scp = open_stow()
    instances = ct_series(2)
    body = body_of(files(instances, tmp_path))

    answer = post(scp, body[:-20])

    assert answer.status_code == 400
    assert named(answer, REFERENCED) == [instances[0].SOPInstanceUID]
    assert scp.files() == [scp.path_of(instances[0])]


@pytest.mark.parametrize("uid", ["../../../x", "1.2/../3", "a.b", "1..2"])
@pytest.mark.covers("T8")
def test_a_uid_with_path_characters_reaches_no_path(
    uid: str, open_stow: OpenStorageScp, tmp_path: Path
) -> None:
    scp = open_stow()
    ds = ct_instance()
    (content,) = files([ds], tmp_path)
    for old in (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID):
        wrong = content.replace(old.encode(), uid.encode().ljust(len(old), b"\0"))
        answer = post(scp, body_of([wrong]))
        assert answer.status_code == 409
    assert scp.files() == []
    assert not list(tmp_path.parent.rglob("x.dcm"))
