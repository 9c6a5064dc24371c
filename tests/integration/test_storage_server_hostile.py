"""Covered: peers that violate PS3.8, connect and vanish, or send mutated bytes: the association
is aborted, no file and no thread is left, other peers are served. With ``StreamingDUL`` only:
without it, pynetdicom reads the PDUs.

Not covered: long runs of random input (tests/fuzz).
"""

import random
import re
import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE

from common.spool.layout import INCOMING
from storescp.association.listener import SPARE_CONNECTIONS
from tests.support.ct_factory import ct_instance, encode
from tests.support.raw_pdu import (
    COMMAND,
    DATA,
    ECHO,
    LAST,
    RELEASE,
    STREAMING_ONLY,
    association_request,
    command_set,
    is_empty,
    p_data,
    pdv,
    raw_association,
    store,
)
from tests.support.servers import wait_for
from tests.support.storage_scp import OpenStorageScp, associated, threads_since

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


@STREAMING_ONLY
@pytest.mark.parametrize("case", HOSTILE)
def test_a_peer_that_violates_the_protocol_is_aborted_and_leaves_nothing(
    case: str, open_storage_scp: OpenStorageScp
) -> None:
    scp = open_storage_scp(max_associations=1)

    with raw_association(scp) as peer:
        peer.send(HOSTILE[case](peer.ct))
        peer.wait_for_abort()

    wait_for(lambda: is_empty(scp), "an empty spool", seconds=10)
    wait_for(lambda: scp.associations.count() == 0, "the association to be closed", seconds=10)
    with associated(scp) as after:
        assert after.is_established


@STREAMING_ONLY
def test_a_huge_pdu_before_the_association_is_not_read(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp()

    with socket.create_connection(("127.0.0.1", scp.port), timeout=10) as connection:
        connection.sendall(struct.pack(">BxL", 1, 2**32 - 1) + bytes(1000))
        assert connection.recv(1) == b""


@STREAMING_ONLY
def test_a_request_with_an_even_context_id_ends_only_its_connection(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp()
    before = set(threading.enumerate())
    request = bytearray(association_request(scp))
    item = re.search(rb"\x20\0..\x01\0", request, re.DOTALL)  # PS3.8 Table 9-13
    assert item is not None
    request[item.end() - 2] = 2

    with socket.create_connection(("127.0.0.1", scp.port), timeout=10) as connection:
        connection.sendall(request)
        assert connection.recv(1) == b"\3"  # A-ASSOCIATE-RJ

    # An uncaught exception in a thread is a pytest warning, and warnings are errors.
    wait_for(lambda: not threads_since(before), "all threads to end", seconds=10)


@STREAMING_ONLY
def test_connections_that_end_at_once_leave_no_thread(open_storage_scp: OpenStorageScp) -> None:
    scp = open_storage_scp()
    before = set(threading.enumerate())

    for _ in range(5):
        socket.create_connection(("127.0.0.1", scp.port), timeout=10).close()

    # Sooner than the 30 s timeout of an association request.
    wait_for(lambda: not threads_since(before), "all threads to end", seconds=10)


@STREAMING_ONLY
@pytest.mark.covers("T13")
def test_more_connections_than_associations_can_use_are_refused(
    open_storage_scp: OpenStorageScp, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    monkeypatch.setattr("storescp.association.listener.SPARE_THREADS", before + 12)
    scp = open_storage_scp(max_associations=1)

    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", scp.port), timeout=10))
            for _ in range(20)
        ]
        # Not always the last one: threads of an earlier test may end meanwhile.
        refused = wait_for(lambda: select.select(silent, [], [], 0)[0], "a refusal")
        assert refused[0].recv(1) == b""
    wait_for(lambda: threading.active_count() <= before + 2, "their threads", seconds=10)
    with associated(scp) as after:
        assert after.is_established


def test_silent_connections_of_one_address_do_not_block_others(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp(max_associations=8, max_associations_per_peer=4)
    most = 4 + SPARE_CONNECTIONS
    before = set(threading.enumerate())

    with ExitStack() as stack:

        def connect() -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", scp.port), timeout=10)
            return stack.enter_context(connection)

        for _ in range(most):
            connect()
        wait_for(lambda: threads_since(before) >= 2 * most, "their threads")
        assert [connect().recv(1) for _ in range(5)] == [b""] * 5
        ae = AE("MODALITY")
        ae.add_requested_context(CTImageStorage)
        other = ae.associate("127.0.0.1", scp.port, bind_address=("127.0.0.2", 0))
        assert other.is_established
        other.release()


def mutated(rng: random.Random, pdus: list[bytes]) -> bytes:
    """Return a stream of PDUs with mutated bytes, or with PDUs out of order."""
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


@STREAMING_ONLY
def test_mutated_streams_of_pdus_leave_neither_files_nor_threads(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp(stall_seconds=1, idle_seconds=2)
    before, rng = set(threading.enumerate()), random.Random(5)  # noqa: S311 - not a secret
    request = association_request(scp)
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
            socket.create_connection(("127.0.0.1", scp.port), timeout=10) as connection,
            suppress(OSError),
        ):
            connection.sendall(request)
            connection.recv(4096)
            connection.sendall(mutated(rng, whole))
            connection.settimeout(0.05)
            while connection.recv(4096):
                pass

    def nothing_left() -> bool:
        scp.server.tick()
        incoming = list((scp.settings.spool_dir / INCOMING).iterdir())
        return not incoming and not threads_since(before)

    wait_for(nothing_left, "files and threads to be released", seconds=20)
    assert scp.associations.count() == 0
    assert scp.files() in ([], [scp.path_of(ds)])
    with associated(scp) as after:
        assert after.is_established
