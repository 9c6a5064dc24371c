"""Covered: what comes in PDUs that no polite modality sends: odd cuts, interleaving, lies about
lengths, ends in the middle. pynetdicom negotiates, then the test writes to its socket.

The ordinary path is pynetdicom's own; where it is lenient, only the fast path is tested.
"""

import os
import socket
import struct
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from pynetdicom.sop_class import Verification

from db.spool import INCOMING
from storescp import status
from storescp.association.server import MAX_PDU_BYTES
from storescp.association.wire import BUFFER_BYTES
from tests.ct_factory import ct_instance, encode
from tests.integration.door import OpenDoor, associated, send_bytes
from tests.integration.rude import (
    COMMAND,
    DATA,
    ECHO,
    FAST_ONLY,
    LAST,
    RELEASE,
    is_empty,
    p_data,
    pdv,
    rude,
    store,
)
from tests.servers import wait_for
from tests.unit.storescp.association.test_command import command_set

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("missing", ["AffectedSOPInstanceUID", "AffectedSOPClassUID"])
def test_a_c_store_that_lacks_a_uid_is_answered(missing: str, open_door: OpenDoor) -> None:
    door = open_door()
    ds = ct_instance()

    with rude(door) as peer:
        peer.send(p_data(pdv(peer.ct, COMMAND | LAST, command_set(**{missing: None}))))
        peer.send(p_data(pdv(peer.ct, DATA | LAST, encode(ds))))
        refused = peer.answer()
        peer.send(p_data(pdv(peer.ct, COMMAND | LAST, store(ds.SOPInstanceUID, 8))))
        peer.send(p_data(pdv(peer.ct, DATA | LAST, encode(ds))))
        stored = peer.answer()

    assert (refused.Status, refused.MessageIDBeingRespondedTo) == (status.INVALID_UID, 7)
    assert "missing" in refused.ErrorComment
    assert (stored.Status, stored.MessageIDBeingRespondedTo) == (status.SUCCESS, 8)
    assert door.files() == [door.path_of(ds)]


def test_command_and_data_set_in_one_pdu(open_door: OpenDoor) -> None:
    door = open_door()
    ds = ct_instance()
    encoded = encode(ds)

    with rude(door) as peer:
        command = store(ds.SOPInstanceUID)
        peer.send(
            p_data(
                pdv(peer.ct, COMMAND, command[:30]),
                pdv(peer.ct, COMMAND | LAST, command[30:]),
                pdv(peer.ct, DATA, encoded[:100]),
                pdv(peer.ct, DATA, b""),
                pdv(peer.ct, DATA, encoded[100:]),
                pdv(peer.ct, DATA | LAST, b""),
            )
        )
        assert peer.answer().Status == status.SUCCESS

    assert door.path_of(ds).read_bytes().endswith(encoded)


def test_bytes_that_arrive_one_by_one(open_door: OpenDoor) -> None:
    door = open_door()
    ds = ct_instance(size=4)
    encoded = encode(ds)

    with rude(door) as peer:
        pdus = p_data(pdv(peer.ct, COMMAND | LAST, store(ds.SOPInstanceUID))) + b"".join(
            p_data(pdv(peer.ct, LAST * (n + 50 >= len(encoded)), encoded[n : n + 50]))
            for n in range(0, len(encoded), 50)
        )
        for n in range(len(pdus)):
            peer.send(pdus[n : n + 1])
        assert peer.answer().Status == status.SUCCESS

    assert door.path_of(ds).read_bytes().endswith(encoded)


def test_a_data_set_larger_than_the_read_buffer_is_stored_byte_for_byte(
    open_door: OpenDoor,
) -> None:
    door = open_door()
    ds = ct_instance(size=1400)
    ds.PixelData = os.urandom(len(ds.PixelData))
    assert len(ds.PixelData) > 3 * BUFFER_BYTES

    with associated(door) as assoc:
        for one in (ct_instance(), ds):
            sent = send_bytes(assoc, encode(one), sop_instance_uid=one.SOPInstanceUID)
            assert sent.Status == status.SUCCESS

    assert door.path_of(ds).read_bytes().endswith(encode(ds))


def test_an_echo_and_a_store_that_do_not_wait_for_answers(open_door: OpenDoor) -> None:
    door = open_door()
    ds = ct_instance()

    with rude(door) as peer:
        echo = p_data(pdv(peer.contexts[Verification], COMMAND | LAST, ECHO))
        command = p_data(pdv(peer.ct, COMMAND | LAST, store(ds.SOPInstanceUID)))
        data = p_data(pdv(peer.ct, DATA | LAST, encode(ds)))
        peer.send(echo + command + data + echo + command + data + echo)
        answers = [peer.answer() for _ in range(5)]

    kinds = sorted(type(answer).__name__ for answer in answers)
    assert kinds == ["C_ECHO"] * 3 + ["C_STORE"] * 2
    assert {answer.Status for answer in answers} == {status.SUCCESS}
    assert door.files() == [door.path_of(ds)]


@pytest.mark.parametrize("how", ["close", "reset", "abort", "release"])
def test_an_end_in_the_middle_of_a_data_set_leaves_nothing(
    how: str, open_door: OpenDoor
) -> None:
    door = open_door(max_associations=1)
    ds = ct_instance()

    with rude(door) as peer:
        peer.send(p_data(pdv(peer.ct, COMMAND | LAST, store(ds.SOPInstanceUID))))
        peer.send(p_data(pdv(peer.ct, DATA, encode(ds)[:-10])))
        if how == "abort":
            peer.send(b"\7\0\0\0\0\4\0\0\0\0")
        elif how == "release":
            peer.send(RELEASE)
        else:
            if how == "reset":
                linger = struct.pack("ii", 1, 0)
                peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            peer.connection.shutdown(socket.SHUT_RDWR)

        def gone() -> bool:
            door.server.tick()
            return door.arrivals.open_associations() == 0

        wait_for(gone, "the end of the association", seconds=20)
    wait_for(lambda: is_empty(door), "nothing to be left", seconds=10)
    with associated(door) as after:
        assert after.is_established


@FAST_ONLY
def test_a_data_set_is_never_in_memory_as_a_whole(open_door: OpenDoor) -> None:
    door = open_door()
    part = bytes(MAX_PDU_BYTES - 6)
    head = encode(ct_instance(SOPInstanceUID="1.2.3.4", PixelData=None))
    count = 256
    pixels = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, count * len(part))

    with rude(door) as peer:
        tracemalloc.start()
        try:
            peer.send(p_data(pdv(peer.ct, COMMAND | LAST, store("1.2.3.4"))))
            peer.send(p_data(pdv(peer.ct, DATA, head + pixels)))
            pdu, final = p_data(pdv(peer.ct, DATA, part)), p_data(pdv(peer.ct, LAST, part))
            for _ in range(count - 1):
                peer.send(pdu)
            peer.send(final)
            assert peer.answer().Status == status.SUCCESS
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert door.files()[0].stat().st_size > 33_000_000
    assert peak < 4_000_000


@FAST_ONLY
def test_stopping_the_server_in_the_middle_of_a_data_set_leaves_nothing(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storescp.association.server.SHUTDOWN_SECONDS", 0.5)
    door = open_door()

    with rude(door) as peer:
        peer.send(p_data(pdv(peer.ct, COMMAND | LAST, store("1.2.3"))))
        peer.send(p_data(pdv(peer.ct, DATA, b"begun")))
        wait_for(lambda: door.arrivals.open_associations() == 1, "the association")
        incoming: Path = door.settings.spool_dir / INCOMING
        wait_for(lambda: list(incoming.iterdir()), "the file that is being written")

        start = time.monotonic()
        door.stop()

        assert time.monotonic() - start < 5
        peer.wait_for_abort()
    assert is_empty(door)


@FAST_ONLY
def test_an_association_of_the_fast_path_leaves_no_thread(open_door: OpenDoor) -> None:
    door = open_door()
    before = threading.active_count()
    ds = ct_instance()

    for _ in range(3):
        with rude(door) as peer:
            peer.send(p_data(pdv(peer.ct, COMMAND | LAST, store(ds.SOPInstanceUID))))
            peer.send(p_data(pdv(peer.ct, DATA | LAST, encode(ds))))
            assert peer.answer().Status == status.SUCCESS

    wait_for(lambda: threading.active_count() <= before, "all threads to end", seconds=10)
