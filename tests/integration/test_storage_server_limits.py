"""Covered: senders that open too many associations, are idle, stall, are too slow or fill the
disk, on real associations with short limits.

Not covered: the rules themselves (tests/unit/storescp).
"""

import errno
import os
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from common.dicomnet import status
from tests.support.ct_factory import ct_instance, encode
from tests.support.raw_pdu import (
    COMMAND,
    DATA,
    LAST,
    STREAMING_ONLY,
    is_empty,
    p_data,
    pdv,
    raw_association,
    store,
)
from tests.support.servers import wait_for
from tests.support.storage_scp import OpenStorageScp, StorageScpFixture, associated, send_bytes

pytestmark = pytest.mark.servers


def is_closed(scp: StorageScpFixture) -> bool:
    scp.server.tick()
    return scp.associations.count() == 0


def test_one_address_does_not_take_all_places(open_storage_scp: OpenStorageScp) -> None:
    scp = open_storage_scp(max_associations_per_peer=2)

    with associated(scp), associated(scp), associated(scp) as third:
        assert third.is_rejected
        primitive = third.acceptor.primitive
        assert (primitive.result, primitive.result_source, primitive.diagnostic) == (2, 3, 2)
    wait_for(lambda: is_closed(scp), "all associations to be closed")


def test_two_addresses_leave_places_for_a_third(open_storage_scp: OpenStorageScp) -> None:
    scp = open_storage_scp(max_associations=8, max_associations_per_peer=4)

    with ExitStack() as stack:

        def is_accepted(address: str) -> bool:
            return stack.enter_context(associated(scp, address=address)).is_established

        flood = [is_accepted(one) for one in ["127.0.0.2"] * 5 + ["127.0.0.3"] * 5]
        assert flood == [True] * 4 + [False] + [True] * 2 + [False] * 3
        assert is_accepted("127.0.0.4")
        assert not is_accepted("127.0.0.4")
        assert is_accepted("127.0.0.5")


@STREAMING_ONLY
@pytest.mark.parametrize("addresses", [1, 8])
def test_a_sender_is_served_during_a_flood_of_silent_connections(
    addresses: int, open_storage_scp: OpenStorageScp, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    monkeypatch.setattr("storescp.association.listener.SPARE_THREADS", before + 24)
    scp = open_storage_scp(max_associations=1, allowed_calling_aets=("MODALITY",))
    ds = ct_instance()

    with ExitStack() as stack:
        for number in range(60):
            source = (f"127.0.1.{number % addresses + 1}", 0)
            stack.enter_context(
                socket.create_connection(("127.0.0.1", scp.port), 10, source_address=source)
            )
        with associated(scp) as assoc:
            assert assoc.is_established
            answer = send_bytes(assoc, encode(ds), sop_instance_uid=ds.SOPInstanceUID)

    assert answer.Status == status.SUCCESS
    wait_for(lambda: threading.active_count() <= before + 3, "the threads to end", seconds=20)


def test_an_idle_association_is_ended_and_an_active_one_is_not(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp(idle_seconds=1.5)

    with associated(scp) as idle, associated(scp) as active:
        ds = ct_instance()
        send_bytes(idle, encode(ds), sop_instance_uid=ds.SOPInstanceUID)
        for _ in range(6):
            time.sleep(0.5)
            ds = ct_instance()
            answer = send_bytes(active, encode(ds), sop_instance_uid=ds.SOPInstanceUID)
            assert answer.Status == status.SUCCESS
        wait_for(lambda: idle.is_aborted, "A-ABORT", seconds=10)
        assert active.is_established
    assert len(scp.files()) == 7


@STREAMING_ONLY
def test_a_sender_that_stalls_within_a_data_set_is_aborted(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp(stall_seconds=1, idle_seconds=60)

    with raw_association(scp) as peer:
        peer.send(p_data(pdv(peer.ct, COMMAND | LAST, store("1.2.3"))))
        peer.send(p_data(pdv(peer.ct, DATA, b"begun")))
        peer.wait_for_abort()

    wait_for(
        lambda: is_closed(scp) and is_empty(scp),
        "the end of the association and an empty spool",
    )


@STREAMING_ONLY
def test_a_sender_below_the_minimum_rate_is_aborted(open_storage_scp: OpenStorageScp) -> None:
    scp = open_storage_scp(stall_seconds=1, min_kb_per_second=4, idle_seconds=60)

    with raw_association(scp) as peer:
        peer.send(p_data(pdv(peer.ct, COMMAND | LAST, store("1.2.3"))))
        started = time.monotonic()
        peer.assoc._reactor_checkpoint.set()
        while not peer.assoc.is_aborted and time.monotonic() < started + 10:
            try:
                peer.send(p_data(pdv(peer.ct, DATA, b"12")))
            except OSError:
                break
            time.sleep(0.1)
        assert 1 < time.monotonic() - started < 9

    wait_for(
        lambda: is_closed(scp) and is_empty(scp),
        "the end of the association and an empty spool",
    )


@STREAMING_ONLY
def test_a_peer_that_sends_half_a_request_is_dropped(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp(stall_seconds=1)

    with socket.create_connection(("127.0.0.1", scp.port), timeout=10) as connection:
        connection.sendall(b"\1\0\0\0\1\0half of it")
        assert connection.recv(1) == b""


def test_the_disk_fills_up_during_an_instance(
    open_storage_scp: OpenStorageScp, monkeypatch: pytest.MonkeyPatch
) -> None:
    scp = open_storage_scp()
    written = os.writev
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(descriptor: int, parts: tuple[bytes | memoryview, ...]) -> int:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if name.endswith(".part") and sum(map(len, parts)) > 10_000:
            raise full
        return written(descriptor, parts)

    with associated(scp) as assoc:
        ds = ct_instance(size=512)
        monkeypatch.setattr(os, "writev", write)
        refused = send_bytes(assoc, encode(ds), sop_instance_uid=ds.SOPInstanceUID)
        monkeypatch.undo()
        stored = send_bytes(assoc, encode(ds), sop_instance_uid=ds.SOPInstanceUID)

    assert (refused.Status, stored.Status) == (status.OUT_OF_RESOURCES, status.SUCCESS)
    assert refused.ErrorComment == "spool: No space left on device"
    assert scp.files() == [scp.path_of(ds)]
