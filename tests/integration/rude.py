"""An association whose PDUs the test writes itself, as no polite modality would."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import Association
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.sop_class import Verification

from db.spool import INCOMING
from tests.integration.door import Door, associated
from tests.servers import wait_for
from tests.unit.storescp.association.test_command import command_set

COMMAND, DATA, LAST = 1, 0, 2
RELEASE = b"\5\0\0\0\0\4\0\0\0\0"  # A-RELEASE-RQ
ECHO = command_set(
    AffectedSOPClassUID=Verification,
    CommandField=0x0030,
    CommandDataSetType=0x0101,
    AffectedSOPInstanceUID=None,
    Priority=None,
)
FAST_ONLY = pytest.mark.parametrize("open_door", ["fast path"], indirect=True)


def pdv(context: int, control: int, part: bytes) -> bytes:
    """A presentation data value item (PS3.8 9.3.5.1)."""
    return struct.pack(">LBB", len(part) + 2, context, control) + part


def p_data(*items: bytes) -> bytes:
    """A P-DATA-TF PDU."""
    return struct.pack(">BxL", 4, sum(map(len, items))) + b"".join(items)


class Rude:
    """An association whose PDUs the test writes itself."""

    def __init__(self, assoc: Association) -> None:
        self.assoc = assoc
        self.contexts = {cx.abstract_syntax: cx.context_id for cx in assoc.accepted_contexts}
        self.ct = self.contexts[CTImageStorage]
        self.connection: socket.socket = assoc.dul.socket.socket

    def send(self, *pdus: bytes) -> None:
        for pdu in pdus:
            self.connection.sendall(pdu)

    def answer(self) -> C_STORE | C_ECHO:
        _, message = self.assoc.dimse.get_msg(block=True)
        assert message is not None, "no answer"
        return message

    def wait_for_abort(self) -> None:
        self.assoc._reactor_checkpoint.set()
        wait_for(lambda: self.assoc.is_aborted, "A-ABORT", seconds=10)


@contextmanager
def rude(door: Door) -> Iterator[Rude]:
    with associated(door, sop_classes=[CTImageStorage, Verification]) as assoc:
        assoc.dimse_timeout = 20
        assoc._reactor_checkpoint.clear()
        try:
            yield Rude(assoc)
        finally:
            assoc._reactor_checkpoint.set()


def is_empty(door: Door) -> bool:
    return not door.files() and not list((door.settings.spool_dir / INCOMING).iterdir())


def store(sop_instance_uid: str, message_id: int = 7) -> bytes:
    return command_set(AffectedSOPInstanceUID=sop_instance_uid, MessageID=message_id)
