"""Associations whose PDUs the test encodes itself, to violate the protocol."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, Association, evt
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.sop_class import Verification

from common.spool.layout import INCOMING
from tests.support.servers import wait_for
from tests.support.storage_scp import StorageScpFixture, associated

COMMAND, DATA, LAST = 1, 0, 2
RELEASE = b"\5\0\0\0\0\4\0\0\0\0"  # A-RELEASE-RQ
STREAMING_ONLY = pytest.mark.parametrize("open_storage_scp", ["streaming"], indirect=True)


def command_set(**elements: object) -> bytes:
    """Encode a C-STORE-RQ by pydicom; None removes an element."""
    ds = Dataset()
    ds.AffectedSOPClassUID = CTImageStorage
    ds.CommandField = 0x0001
    ds.MessageID = 7
    ds.Priority = 2
    ds.CommandDataSetType = 1
    ds.AffectedSOPInstanceUID = "1.2.3.4"
    for keyword, value in elements.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    encoded = DicomBytesIO()
    encoded.is_implicit_VR = encoded.is_little_endian = True
    write_dataset(encoded, ds)
    return encoded.getvalue()


ECHO = command_set(
    AffectedSOPClassUID=Verification,
    CommandField=0x0030,
    CommandDataSetType=0x0101,
    AffectedSOPInstanceUID=None,
    Priority=None,
)


def store(sop_instance_uid: str, message_id: int = 7) -> bytes:
    """Encode a C-STORE-RQ for one instance."""
    return command_set(AffectedSOPInstanceUID=sop_instance_uid, MessageID=message_id)


def pdv(context: int, control: int, part: bytes) -> bytes:
    """A presentation data value item (PS3.8 9.3.5.1)."""
    return struct.pack(">LBB", len(part) + 2, context, control) + part


def p_data(*items: bytes) -> bytes:
    """A P-DATA-TF PDU."""
    return struct.pack(">BxL", 4, sum(map(len, items))) + b"".join(items)


class RawAssociation:
    """An established association without pynetdicom's encoding."""

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
def raw_association(scp: StorageScpFixture) -> Iterator[RawAssociation]:
    """Open an association for CT and Verification, and release it at the end."""
    with associated(scp, sop_classes=[CTImageStorage, Verification]) as assoc:
        assoc.dimse_timeout = 20
        assoc._reactor_checkpoint.clear()
        try:
            yield RawAssociation(assoc)
        finally:
            assoc._reactor_checkpoint.set()


def association_request(scp: StorageScpFixture) -> bytes:
    """Return pynetdicom's A-ASSOCIATE-RQ for CT (context 1) and Verification (context 3)."""
    sent: list[bytes] = []
    ae = AE("MODALITY")
    for sop_class in (CTImageStorage, Verification):
        ae.add_requested_context(sop_class, ExplicitVRLittleEndian)
    assoc = ae.associate(
        "127.0.0.1",
        scp.port,
        ae_title="OSTEOSCREEN",
        evt_handlers=[(evt.EVT_DATA_SENT, lambda event: sent.append(event.data))],
    )
    assoc.release()
    return sent[0]


def is_empty(scp: StorageScpFixture) -> bool:
    """Return whether the spool has neither instances nor incoming files."""
    return not scp.files() and not list((scp.settings.spool_dir / INCOMING).iterdir())
