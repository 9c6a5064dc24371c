"""Covered: a series of which ``python -m storescp`` refused instances, by DIMSE and STOW-RS, or
whose association broke off: it waits for them, is registered with their number, and again when
they arrive.

Not covered: the rule by itself (unit/storescp/registration), its rejection by the worker
(test_worker.py).
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, Association

from common.dicomnet import status
from common.dicomnet.checkpoint import patch_reactor_checkpoint
from common.spool.part10 import encode_header
from db import history
from db.models import Series
from db.session import make_engine, make_sessions
from db.states import SeriesState
from deploy.demo.embedded import free_port
from deploy.demo.processes import Process
from storescp.registration.completion import BROKEN_OFF, STILL_REFUSED
from tests.support.ct_factory import ct_series, encode
from tests.support.raw_pdu import COMMAND, DATA, LAST, p_data, pdv, store
from tests.support.record import Sessions
from tests.support.servers import wait_for, wait_until_listening
from tests.support.services import StartProcess
from tests.support.storage_scp import send_bytes
from tests.support.stow_request import FILE_TYPE, body_of

pytestmark = [pytest.mark.servers, pytest.mark.slow]
QUIET = 0.1
Settings = dict[str, object]


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    engine = make_engine(database_url, application_name="test")
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture
def settings(child_settings: Settings) -> Settings:
    return child_settings | {
        "QUIET_SECONDS": QUIET,
        "STOW_HOST": "127.0.0.1",
        "STOW_PORT": free_port(),
    }


@pytest.fixture
def storescp(settings: Settings, start_storescp: StartProcess) -> Process:
    process = start_storescp(settings)
    wait_until_listening(process, int(str(settings["STOW_PORT"])))
    return process


@contextmanager
def associated(settings: Settings) -> Iterator[Association]:
    ae = AE("MODALITY")
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    assoc = ae.associate("127.0.0.1", int(str(settings["PORT"])), ae_title="OSTEOSCREEN")
    assert assoc.is_established
    connection = assoc.dul.socket.socket
    patch_reactor_checkpoint(assoc)
    yield assoc
    if assoc.is_established:
        assoc.release()
    connection.close()  # pynetdicom leaves it open where the peer has gone


def send(assoc: Association, ds: Dataset, *, cut: int | None = None) -> int:
    answer = send_bytes(assoc, encode(ds)[:cut], sop_instance_uid=ds.SOPInstanceUID)
    return int(answer.Status)


def registered(
    sessions: Sessions, ds: Dataset, *, revision: int = 1, seconds: float = 30
) -> tuple[Series, float]:
    """Wait until a revision is queued; return it and the seconds that it took."""
    start = time.monotonic()

    def row() -> Series | None:
        with sessions() as session:
            series = history.series_by_uid(session, ds.SeriesInstanceUID)
        if series is None or (series.state, series.revision) != (SeriesState.QUEUED, revision):
            return None
        return series

    found = wait_for(row, f"revision {revision}", seconds)
    assert found is not None
    return found, time.monotonic() - start


def test_a_series_waits_for_what_was_refused_and_says_what_never_came(
    storescp: Process, settings: Settings, sessions: Sessions
) -> None:
    instances = ct_series(12)
    with associated(settings) as assoc:
        answers = [
            send(assoc, ds, cut=None if n < 9 else -20) for n, ds in enumerate(instances)
        ]

    assert answers == [status.SUCCESS] * 9 + [status.UNDECODABLE] * 3
    first, seconds = registered(sessions, instances[0])
    assert seconds > STILL_REFUSED * QUIET / 2
    assert (first.instance_count, first.refused_count) == (9, 3)
    assert first.completed_by == "quiet"

    with associated(settings) as assoc:
        send(assoc, instances[9])
    second, _ = registered(sessions, instances[0], revision=2)
    assert (second.instance_count, second.refused_count) == (10, 2)

    with associated(settings) as assoc:
        for ds in instances[10:]:
            send(assoc, ds)
    third, seconds = registered(sessions, instances[0], revision=3)
    assert (third.instance_count, third.refused_count) == (12, 0)
    assert seconds < STILL_REFUSED * QUIET / 2


def test_what_is_sent_again_in_time_is_one_revision(
    storescp: Process, settings: Settings, sessions: Sessions
) -> None:
    instances = ct_series(12)
    with associated(settings) as assoc:
        for number, ds in enumerate(instances):
            send(assoc, ds, cut=-20 if number in (0, 5) else None)
    time.sleep(10 * QUIET)
    with associated(settings) as assoc:
        for ds in instances:
            assert send(assoc, ds) == status.SUCCESS

    series, _ = registered(sessions, instances[0])
    assert (series.instance_count, series.refused_count) == (12, 0)


def test_a_connection_that_is_lost_within_an_instance_leaves_it_missing(
    storescp: Process, settings: Settings, sessions: Sessions
) -> None:
    instances = ct_series(11, size=256)
    with associated(settings) as assoc:
        for ds in instances[:-1]:
            send(assoc, ds)
        context = assoc.accepted_contexts[0].context_id
        command = p_data(pdv(context, COMMAND | LAST, store(instances[-1].SOPInstanceUID)))
        connection = assoc.dul.socket.socket
        connection.sendall(command + p_data(pdv(context, DATA, encode(instances[-1])[:20_000])))
        time.sleep(0.3)
        connection.shutdown(socket.SHUT_RDWR)

    series, _ = registered(sessions, instances[0])
    assert (series.instance_count, series.refused_count) == (10, 1)


def test_an_association_that_broke_off_between_instances_lengthens_the_wait(
    storescp: Process, settings: Settings, sessions: Sessions
) -> None:
    instances = ct_series(10)
    with associated(settings) as assoc:
        for ds in instances:
            send(assoc, ds)
        assoc.abort()

    series, seconds = registered(sessions, instances[0])
    assert seconds > BROKEN_OFF * QUIET / 2
    assert (series.instance_count, series.refused_count) == (10, 0)


def test_parts_of_a_stow_request_that_were_refused_are_missing(
    storescp: Process, settings: Settings, sessions: Sessions, tmp_path: Path
) -> None:
    instances = ct_series(10)
    files = [
        encode_header(CTImageStorage, ds.SOPInstanceUID, ExplicitVRLittleEndian, "A")
        + encode(ds)[: -20 if number >= 8 else None]
        for number, ds in enumerate(instances)
    ]
    other = encode_header("1.2.840.10008.5.1.4.1.1.104.1", "1.2.3", ExplicitVRLittleEndian, "A")

    answer = requests.post(
        f"http://127.0.0.1:{settings['STOW_PORT']}/studies",
        data=body_of([*files, other + b"no CT, no UID"]),
        headers={"Content-Type": FILE_TYPE},
        timeout=30,
    )

    assert answer.status_code == 202
    series, _ = registered(sessions, instances[0])
    assert (series.instance_count, series.refused_count) == (8, 2)
