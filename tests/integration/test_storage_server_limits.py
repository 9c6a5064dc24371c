"""Covered: what a sender gets that takes too many places, idles, stalls, trickles or fills the
disk, on real associations. Limits are short here.

Not covered: the rules themselves (tests/unit/storescp: arrivals, pace, reception).
"""

import errno
import os
import socket
import time

import pytest

from storescp import status
from tests.ct_factory import ct_instance, encode
from tests.integration.door import Door, OpenDoor, associated, send_bytes
from tests.integration.rude import (
    COMMAND,
    DATA,
    FAST_ONLY,
    LAST,
    is_empty,
    p_data,
    pdv,
    rude,
    store,
)
from tests.servers import wait_for

pytestmark = pytest.mark.servers


def place_is_free(door: Door) -> bool:
    door.server.tick()
    return door.arrivals.open_associations() == 0


def test_one_address_does_not_take_all_places(open_door: OpenDoor) -> None:
    door = open_door(max_associations_per_peer=2)

    with associated(door), associated(door), associated(door) as third:
        assert third.is_rejected
        primitive = third.acceptor.primitive
        assert (primitive.result, primitive.result_source, primitive.diagnostic) == (2, 3, 2)
    wait_for(lambda: place_is_free(door), "the places to come back")


def test_an_idle_association_is_ended_and_an_active_one_is_not(open_door: OpenDoor) -> None:
    door = open_door(idle_seconds=1.5)

    with associated(door) as idle, associated(door) as active:
        ds = ct_instance()
        send_bytes(idle, encode(ds), sop_instance_uid=ds.SOPInstanceUID)
        for _ in range(6):
            time.sleep(0.5)
            ds = ct_instance()
            answer = send_bytes(active, encode(ds), sop_instance_uid=ds.SOPInstanceUID)
            assert answer.Status == status.SUCCESS
        wait_for(lambda: idle.is_aborted, "A-ABORT", seconds=10)
        assert active.is_established
    assert len(door.files()) == 7


@FAST_ONLY
def test_a_sender_that_stalls_within_a_data_set_is_aborted(open_door: OpenDoor) -> None:
    door = open_door(stall_seconds=1, idle_seconds=60)

    with rude(door) as peer:
        peer.send(p_data(pdv(peer.ct, COMMAND | LAST, store("1.2.3"))))
        peer.send(p_data(pdv(peer.ct, DATA, b"begun")))
        peer.wait_for_abort()

    wait_for(lambda: place_is_free(door) and is_empty(door), "nothing to be left")


@FAST_ONLY
def test_a_sender_that_trickles_is_aborted(open_door: OpenDoor) -> None:
    door = open_door(stall_seconds=1, min_kb_per_second=4, idle_seconds=60)

    with rude(door) as peer:
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

    wait_for(lambda: place_is_free(door) and is_empty(door), "nothing to be left")


@FAST_ONLY
def test_a_peer_that_connects_and_says_half_a_request_is_dropped(open_door: OpenDoor) -> None:
    door = open_door(stall_seconds=1)

    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
        connection.sendall(b"\1\0\0\0\1\0half of it")
        assert connection.recv(1) == b""


def test_the_disk_fills_up_while_an_instance_comes(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = open_door()
    written = os.writev
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(descriptor: int, parts: tuple[bytes | memoryview, ...]) -> int:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if name.endswith(".part") and sum(map(len, parts)) > 10_000:
            raise full
        return written(descriptor, parts)

    with associated(door) as assoc:
        ds = ct_instance(size=512)
        monkeypatch.setattr(os, "writev", write)
        refused = send_bytes(assoc, encode(ds), sop_instance_uid=ds.SOPInstanceUID)
        monkeypatch.undo()
        stored = send_bytes(assoc, encode(ds), sop_instance_uid=ds.SOPInstanceUID)

    assert (refused.Status, stored.Status) == (status.OUT_OF_RESOURCES, status.SUCCESS)
    assert refused.ErrorComment == "spool: No space left on device"
    assert door.files() == [door.path_of(ds)]
