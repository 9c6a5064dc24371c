"""Covered: unusual PDUs: small fragments, interleaved messages, wrong lengths, truncated
streams. pynetdicom negotiates, then the test writes to its socket.

Where pynetdicom alone is lenient, only ``StreamingDUL`` is tested.
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

from common.dicomnet import status
from common.spool.layout import INCOMING
from storescp.association.buffered_socket import BUFFER_BYTES
from storescp.association.server import MAX_PDU_BYTES
from tests.support.ct_factory import ct_instance, encode
from tests.support.raw_pdu import (
    COMMAND,
    DATA,
    ECHO,
    LAST,
    RELEASE,
    STREAMING_ONLY,
    command_set,
    is_empty,
    p_data,
    pdv,
    raw_association,
    store,
)
from tests.support.servers import wait_for
from tests.support.storage_scp import OpenStorageScp, associated, send_bytes, threads_since

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("missing", ["AffectedSOPInstanceUID", "AffectedSOPClassUID"])
def test_a_c_store_without_a_uid_is_answered(
    missing: str, open_storage_scp: OpenStorageScp
) -> None:
    scp = open_storage_scp()
    ds = ct_instance()

    with raw_association(scp) as peer:
        peer.send(p_data(pdv(peer.ct, COMMAND | LAST, command_set(**{missing: None}))))
        peer.send(p_data(pdv(peer.ct, DATA | LAST, encode(ds))))
        refused = peer.answer()
        peer.send(p_data(pdv(peer.ct, COMMAND | LAST, store(ds.SOPInstanceUID, 8))))
        peer.send(p_data(pdv(peer.ct, DATA | LAST, encode(ds))))
        stored = peer.answer()

    assert (refused.Status, refused.MessageIDBeingRespondedTo) == (status.INVALID_UID, 7)
    assert "missing" in refused.ErrorComment
    assert (stored.Status, stored.MessageIDBeingRespondedTo) == (status.SUCCESS, 8)
    assert scp.files() == [scp.path_of(ds)]


def test_command_and_data_set_in_one_pdu(open_storage_scp: OpenStorageScp) -> None:
    scp = open_storage_scp()
    ds = ct_instance()
    encoded = encode(ds)

    with raw_association(scp) as peer:
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

    assert scp.path_of(ds).read_bytes().endswith(encoded)


def test_bytes_that_arrive_one_by_one(open_storage_scp: OpenStorageScp) -> None:
    scp = open_storage_scp()
    ds = ct_instance(size=4)
    encoded = encode(ds)

    with raw_association(scp) as peer:
        pdus = p_data(pdv(peer.ct, COMMAND | LAST, store(ds.SOPInstanceUID))) + b"".join(
            p_data(pdv(peer.ct, LAST * (n + 50 >= len(encoded)), encoded[n : n + 50]))
            for n in range(0, len(encoded), 50)
        )
        for n in range(len(pdus)):
            peer.send(pdus[n : n + 1])
        assert peer.answer().Status == status.SUCCESS

    assert scp.path_of(ds).read_bytes().endswith(encoded)


def test_a_data_set_larger_than_the_read_buffer_is_stored_byte_for_byte(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp()
    ds = ct_instance(size=1400)
    ds.PixelData = os.urandom(len(ds.PixelData))
    assert len(ds.PixelData) > 3 * BUFFER_BYTES

    with associated(scp) as assoc:
        for one in (ct_instance(), ds):
            sent = send_bytes(assoc, encode(one), sop_instance_uid=one.SOPInstanceUID)
            assert sent.Status == status.SUCCESS

    assert scp.path_of(ds).read_bytes().endswith(encode(ds))


def test_an_echo_and_a_store_that_do_not_wait_for_answers(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp()
    ds = ct_instance()

    with raw_association(scp) as peer:
        echo = p_data(pdv(peer.contexts[Verification], COMMAND | LAST, ECHO))
        command = p_data(pdv(peer.ct, COMMAND | LAST, store(ds.SOPInstanceUID)))
        data = p_data(pdv(peer.ct, DATA | LAST, encode(ds)))
        peer.send(echo + command + data + echo + command + data + echo)
        answers = [peer.answer() for _ in range(5)]

    kinds = sorted(type(answer).__name__ for answer in answers)
    assert kinds == ["C_ECHO"] * 3 + ["C_STORE"] * 2
    assert {answer.Status for answer in answers} == {status.SUCCESS}
    assert scp.files() == [scp.path_of(ds)]


@pytest.mark.parametrize("how", ["close", "reset", "abort", "release"])
def test_an_end_in_the_middle_of_a_data_set_leaves_nothing(
    how: str, open_storage_scp: OpenStorageScp
) -> None:
    scp = open_storage_scp(max_associations=1)
    ds = ct_instance()

    with raw_association(scp) as peer:
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
            scp.server.tick()
            return scp.associations.count() == 0

        wait_for(gone, "the end of the association", seconds=20)
    wait_for(lambda: is_empty(scp), "an empty spool", seconds=10)
    with associated(scp) as after:
        assert after.is_established


@STREAMING_ONLY
def test_a_data_set_is_never_in_memory_as_a_whole(open_storage_scp: OpenStorageScp) -> None:
    scp = open_storage_scp()
    part = bytes(MAX_PDU_BYTES - 6)
    head = encode(ct_instance(SOPInstanceUID="1.2.3.4", PixelData=None))
    count = 256
    pixels = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, count * len(part))

    with raw_association(scp) as peer:
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

    assert scp.files()[0].stat().st_size > 33_000_000
    assert peak < 4_000_000


@STREAMING_ONLY
def test_stopping_the_server_in_the_middle_of_a_data_set_leaves_nothing(
    open_storage_scp: OpenStorageScp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storescp.association.server.SHUTDOWN_SECONDS", 0.5)
    scp = open_storage_scp()

    with raw_association(scp) as peer:
        peer.send(p_data(pdv(peer.ct, COMMAND | LAST, store("1.2.3"))))
        peer.send(p_data(pdv(peer.ct, DATA, b"begun")))
        wait_for(lambda: scp.associations.count() == 1, "the association")
        incoming: Path = scp.settings.spool_dir / INCOMING
        wait_for(lambda: list(incoming.iterdir()), "the file that is being written")

        start = time.monotonic()
        scp.stop()

        assert time.monotonic() - start < 5
        peer.wait_for_abort()
    assert is_empty(scp)


@STREAMING_ONLY
def test_an_association_with_streaming_leaves_no_thread(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp()
    before = set(threading.enumerate())
    ds = ct_instance()

    for _ in range(3):
        with raw_association(scp) as peer:
            peer.send(p_data(pdv(peer.ct, COMMAND | LAST, store(ds.SOPInstanceUID))))
            peer.send(p_data(pdv(peer.ct, DATA | LAST, encode(ds))))
            assert peer.answer().Status == status.SUCCESS

    wait_for(lambda: not threads_since(before), "all threads to end", seconds=10)
