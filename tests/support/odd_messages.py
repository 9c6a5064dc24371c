"""PDUs and DIMSE messages that a test encodes itself, in Implicit VR Little Endian."""

import struct
from collections.abc import Collection
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from tests.support.raw_pdu import COMMAND, DATA, LAST, p_data, pdv

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
C_STORE, C_FIND, C_ECHO, N_ACTION, N_EVENT_REPORT = 0x0001, 0x0020, 0x0030, 0x0130, 0x0100
RESPONSE = 0x8000
NO_DATA_SET = 0x0101
IMPLICIT, EXPLICIT = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1"
HEAD = 68  # PS3.8 Table 9-11: length of the fixed fields after the PDU header
PRESENTATION_CONTEXT, ABSTRACT_SYNTAX = 0x20, 0x30


def items(body: bytes) -> list[tuple[int, bytes]]:
    """Decode a sequence of items."""
    found = []
    while body:
        kind, length = struct.unpack_from(">BxH", body)
        found.append((kind, body[4 : 4 + length]))
        body = body[4 + length :]
    return found


def pdu(kind: int, body: bytes) -> bytes:
    """Encode a PDU."""
    return struct.pack(">BxL", kind, len(body)) + body


def encode(ds: Dataset) -> bytes:
    """Encode in Implicit VR Little Endian."""
    encoded = DicomBytesIO()
    encoded.is_implicit_VR = encoded.is_little_endian = True
    write_dataset(encoded, ds)
    return encoded.getvalue()


def decode(encoded: bytes) -> Dataset:
    """Decode Implicit VR Little Endian."""
    return read_dataset(DicomBytesIO(encoded), is_implicit_VR=True, is_little_endian=True)


@dataclass
class Message:
    """A DIMSE message of the requestor."""

    context: int
    command: Dataset
    data: bytes = b""

    @property
    def data_set(self) -> Dataset:
        return decode(self.data)


def command(**elements: object) -> bytes:
    """Encode a command set; None removes nothing and is left out."""
    ds = Dataset()
    for keyword, value in elements.items():
        if value is not None:
            setattr(ds, keyword, value)
    encoded = encode(ds)
    return struct.pack("<HHLL", 0, 0, 4, len(encoded)) + encoded


def message(context: int, command_set: bytes, data: Dataset | None = None) -> bytes:
    """Encode a message as P-DATA-TF PDUs."""
    parts = [p_data(pdv(context, COMMAND | LAST, command_set))]
    if data is not None:
        parts.append(p_data(pdv(context, DATA | LAST, encode(data))))
    return b"".join(parts)


def response(to: Message, status: int, data: Dataset | None = None, **more: object) -> bytes:
    """Encode a response to a request."""
    request = to.command
    elements: dict[str, object] = {
        "AffectedSOPClassUID": request.get("AffectedSOPClassUID")
        or request.get("RequestedSOPClassUID"),
        "CommandField": request.CommandField | RESPONSE,
        "MessageIDBeingRespondedTo": request.MessageID,
        "CommandDataSetType": NO_DATA_SET if data is None else 1,
        "Status": status,
        "AffectedSOPInstanceUID": request.get("AffectedSOPInstanceUID")
        or request.get("RequestedSOPInstanceUID"),
    }
    return message(to.context, command(**{**elements, **more}), data)


def report(
    context: int, request: Dataset, *, failed: Collection[str] = (), **more: object
) -> bytes:
    """Encode N-EVENT-REPORT (PS3.4 Table J.3.3-1); ``more`` replaces elements."""
    information = Dataset()
    information.TransactionUID = request.TransactionUID
    information.ReferencedSOPSequence, information.FailedSOPSequence = [], []
    for one in request.ReferencedSOPSequence:
        if one.ReferencedSOPInstanceUID in failed:
            one.FailureReason = 0x0112
            information.FailedSOPSequence.append(one)
        else:
            information.ReferencedSOPSequence.append(one)
    elements: dict[str, object] = {
        "AffectedSOPClassUID": StorageCommitmentPushModel,
        "CommandField": N_EVENT_REPORT,
        "MessageID": 9,
        "CommandDataSetType": 1,
        "AffectedSOPInstanceUID": StorageCommitmentPushModelInstance,
        "EventTypeID": 2 if failed else 1,
    }
    return message(context, command(**{**elements, **more}), information)
