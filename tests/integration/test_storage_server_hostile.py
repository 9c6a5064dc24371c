"""Covered: peers that break the rules of PS3.8, connect and vanish, or send changed bytes: the
association is aborted, no file and no thread is left, others are served. Fast path only: the
ordinary one is pynetdicom's own.

Not covered: long runs of random input (tests/fuzz).
"""

import random
import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from db.spool import INCOMING
from storescp.association.listener import SPARE_CONNECTIONS
from tests.ct_factory import ct_instance, encode
from tests.integration.door import Door, OpenDoor, associated
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


def _begun(ct: int) -> bytes:
    command = p_data(pdv(ct, COMMAND | LAST, store("1.2.3")))
    return command + p_data(pdv(ct, DATA, b"begun"))


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "item longer than its PDU": lambda ct: (
        _begun(ct) + struct.pack(">BxLLBB", 4, 10, 100, ct, 0) + b"1234"
    ),
    "item of no length": lambda ct: _begun(ct) + struct.pack(">BxLLBB", 4, 6, 0, ct, 0),
    "bytes behind the last item": lambda ct: _begun(ct) + p_data(pdv(ct, DATA, b"12"), b"abc"),
    "PDU longer than agreed": lambda ct: (
        _begun(ct) + struct.pack(">BxL", 4, 2**32 - 1) + bytes(64)
    ),
    "command within a data set": lambda ct: (
        _begun(ct) + p_data(pdv(ct, COMMAND | LAST, store("1.2.4")))
    ),
    "data set without a command": lambda ct: p_data(pdv(ct, DATA | LAST, b"data")),
    "context that was not accepted": lambda ct: p_data(pdv(99, COMMAND | LAST, store("1.2"))),
    "other context within a message": lambda ct: (
        _begun(ct) + p_data(pdv(99, DATA | LAST, b"rest"))
    ),
    "not a command set": lambda ct: p_data(pdv(ct, COMMAND | LAST, b"GET / HTTP/1.1")),
    "command without a message ID": lambda ct: p_data(
        pdv(ct, COMMAND | LAST, command_set(MessageID=None))
    ),
    "command without end": lambda ct: p_data(pdv(ct, COMMAND, bytes(65_530))) * 2,
    "unknown PDU": lambda ct: _begun(ct) + struct.pack(">BxL", 9, 4) + bytes(4),
    "association request again": lambda ct: _begun(ct) + struct.pack(">BxL", 1, 4) + bytes(4),
}


@FAST_ONLY
@pytest.mark.parametrize("case", HOSTILE)
def test_a_peer_that_breaks_the_rules_is_aborted_and_leaves_nothing(
    case: str, open_door: OpenDoor
) -> None:
    door = open_door(max_associations=1)

    with rude(door) as peer:
        peer.send(HOSTILE[case](peer.ct))
        peer.wait_for_abort()

    wait_for(lambda: is_empty(door), "nothing to be left", seconds=10)
    wait_for(lambda: door.arrivals.open_associations() == 0, "the place", seconds=10)
    with associated(door) as after:
        assert after.is_established


@FAST_ONLY
def test_a_huge_pdu_before_the_association_is_not_read(open_door: OpenDoor) -> None:
    door = open_door()

    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
        connection.sendall(struct.pack(">BxL", 1, 2**32 - 1) + bytes(1000))
        assert connection.recv(1) == b""


@FAST_ONLY
def test_a_request_with_an_even_context_id_ends_its_connection_and_no_more(
    open_door: OpenDoor,
) -> None:
    door = open_door()
    before = threading.active_count()
    request = bytearray(association_request(door))
    item = re.search(rb"\x20\0..\x01\0", request, re.DOTALL)  # PS3.8 Table 9-13
    assert item is not None
    request[item.end() - 2] = 2

    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
        connection.sendall(request)
        assert connection.recv(1) in (b"", b"\7")  # closed, or A-ABORT

    # An exception that nobody catches would be a warning of pytest's, and an error here.
    wait_for(lambda: threading.active_count() <= before, "all threads to end", seconds=10)


@FAST_ONLY
def test_connections_that_end_at_once_leave_no_thread(open_door: OpenDoor) -> None:
    door = open_door()
    before = threading.active_count()

    for _ in range(5):
        socket.create_connection(("127.0.0.1", door.port), timeout=10).close()

    # Not after the 30 s that an association request may take.
    wait_for(lambda: threading.active_count() <= before, "all threads to end", seconds=10)


@FAST_ONLY
def test_more_connections_than_associations_can_use_are_refused(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    monkeypatch.setattr("storescp.association.listener.SPARE_THREADS", before + 12)
    door = open_door(max_associations=1)

    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", door.port), timeout=10))
            for _ in range(20)
        ]
        assert silent[-1].recv(1) == b""
    wait_for(lambda: threading.active_count() <= before + 2, "their threads", seconds=10)
    with associated(door) as after:
        assert after.is_established


def test_one_address_cannot_keep_the_others_out_by_saying_nothing(open_door: OpenDoor) -> None:
    door = open_door(max_associations=8, max_associations_per_peer=4)
    most = 4 + SPARE_CONNECTIONS
    before = threading.active_count()

    with ExitStack() as stack:

        def connect() -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", door.port), timeout=10)
            return stack.enter_context(connection)

        for _ in range(most):
            connect()
        wait_for(lambda: threading.active_count() >= before + 2 * most, "their threads")
        assert [connect().recv(1) for _ in range(5)] == [b""] * 5
        ae = AE("MODALITY")
        ae.add_requested_context(CTImageStorage)
        other = ae.associate("127.0.0.1", door.port, bind_address=("127.0.0.2", 0))
        assert other.is_established
        other.release()


def mutated(rng: random.Random, pdus: list[bytes]) -> bytes:
    """A stream of PDUs with a few bytes changed, cut or added, or PDUs out of order."""
    pdus = list(pdus)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(pdus))
        pdu = bytearray(pdus[at])
        match rng.randrange(5):
            case 0 | 1:
                for _ in range(rng.randint(1, 4) if pdu else 0):
                    pdu[rng.randrange(min(len(pdu), 40))] = rng.choice([0, 1, 3, 4, 255])
            case 2:
                del pdu[rng.randrange(len(pdu) + 1) :]
            case 3:
                pdu += rng.randbytes(rng.randrange(1, 20))
            case 4:
                rng.shuffle(pdus)
                continue
        pdus[at] = bytes(pdu)
    return b"".join(pdus)


@FAST_ONLY
def test_mutated_streams_of_pdus_leave_neither_files_nor_threads(open_door: OpenDoor) -> None:
    door = open_door(stall_seconds=1, idle_seconds=2)
    before, rng = threading.active_count(), random.Random(5)  # noqa: S311 - not a secret
    request = association_request(door)
    ds = ct_instance(size=4)
    encoded = encode(ds)
    whole = [
        p_data(pdv(1, COMMAND | LAST, store(ds.SOPInstanceUID))),
        p_data(pdv(1, DATA, encoded[:300])),
        p_data(pdv(1, LAST, encoded[300:])),
        p_data(pdv(3, COMMAND | LAST, ECHO)),
        RELEASE,
    ]

    for _ in range(150):
        with (
            socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection,
            suppress(OSError),
        ):
            connection.sendall(request)
            connection.recv(4096)
            connection.sendall(mutated(rng, whole))
            connection.settimeout(0.05)
            while connection.recv(4096):
                pass

    def nothing_left() -> bool:
        door.server.tick()
        incoming = list((door.settings.spool_dir / INCOMING).iterdir())
        return not incoming and threading.active_count() <= before

    wait_for(nothing_left, "files and threads to go", seconds=20)
    assert door.arrivals.open_associations() == 0
    assert door.files() in ([], [door.path_of(ds)])
    with associated(door) as after:
        assert after.is_established


def association_request(door: Door) -> bytes:
    """What pynetdicom sends to ask for CT (context 1) and Verification (context 3)."""
    sent: list[bytes] = []
    ae = AE("MODALITY")
    for sop_class in (CTImageStorage, Verification):
        ae.add_requested_context(sop_class, ExplicitVRLittleEndian)
    assoc = ae.associate(
        "127.0.0.1",
        door.port,
        ae_title="OSTEOSCREEN",
        evt_handlers=[(evt.EVT_DATA_SENT, lambda event: sent.append(event.data))],
    )
    assoc.release()
    return sent[0]
