"""DICOM files (PS3.10) as DICOMweb brings them, into the spool like the data set of a C-STORE.

Their File Meta Information only takes the place of the command and the presentation context:
what is checked, how it becomes durable and what it is called is the same.
"""

import struct
from collections.abc import Hashable
from dataclasses import dataclass, field

from storescp import status
from storescp.operation import Intake, Operation
from storescp.part10 import MAX_HEADER_BYTES, PREAMBLE
from storescp.reception import StoreRequest
from storescp.status import Refusal

META_GROUP = 0x0002
SOP_CLASS_UID, SOP_INSTANCE_UID, TRANSFER_SYNTAX_UID = 0x0002, 0x0003, 0x0010
LONG_VRS = (b"OB", b"UN", b"OW", b"UT", b"UC", b"UR")


class BadMeta(ValueError):
    """No File Meta Information."""


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one file; ``refusal`` None: it is durable."""

    sop_class_uid: str
    sop_instance_uid: str
    refusal: Refusal | None


@dataclass(slots=True)
class FileIntake:
    """The files of one request, one after the other; a sink for each part of it.

    ``received`` : what became of those that have ended. ``study_instance_uid`` : the study
    that all must be of, None where any will do.
    """

    intake: Intake
    sender: Hashable
    source: str
    study_instance_uid: str | None = None
    received: list[Received] = field(default_factory=list)
    _head: bytearray = field(default_factory=bytearray)
    _operation: Operation | None = None
    _request: StoreRequest | None = None
    _refusal: Refusal | None = None

    def write(self, part: memoryview) -> None:
        """Append to the file at hand."""
        if self._operation is not None:
            self._operation.write(part)
        elif self._refusal is None:
            self._head += part
            self._read_head()

    def finish(self) -> None:
        """The file at hand is whole: make it durable, note what became of it."""
        operation, request, refusal = self._operation, self._request, self._refusal
        if operation is not None:
            refusal = operation.finish()
        elif refusal is None:
            refusal = Refusal(status.UNDECODABLE, "file ends within its meta information")
        self._reset()
        self.received.append(
            Received(
                request.sop_class_uid if request else "",
                request.sop_instance_uid if request else "",
                refusal,
            )
        )

    def discard(self) -> None:
        """The file at hand will not come to an end: leave nothing behind."""
        if self._operation is not None:
            self._operation.discard()
        self._reset()

    def _reset(self) -> None:
        self._operation = self._request = self._refusal = None
        self._head = bytearray()

    def _read_head(self) -> None:
        try:
            found = _read_meta(self._head)
        except BadMeta as error:
            self._refusal = Refusal(status.UNDECODABLE, str(error))
            return
        if found is None:
            return
        meta, start = found
        self._request = StoreRequest(
            sop_class_uid=meta.get(SOP_CLASS_UID, ""),
            sop_instance_uid=meta.get(SOP_INSTANCE_UID, ""),
            abstract_syntax=meta.get(SOP_CLASS_UID, ""),
            transfer_syntax_uid=meta.get(TRANSFER_SYNTAX_UID, ""),
            calling_ae_title=self.source,
            study_instance_uid=self.study_instance_uid,
        )
        self._operation = self.intake.begin(self.sender, self._request)
        self._operation.write(bytes(self._head[start:]))
        self._head = bytearray()


def _read_meta(head: bytearray) -> tuple[dict[int, str], int] | None:
    """Texts of group 0002 by element, and where the data set starts; None: more must come.

    Group 0002 is Explicit VR Little Endian, whatever follows. Where it ends is told by the
    first tag of another group: not every writer counts its length right. Raises BadMeta.
    """
    if len(head) < len(PREAMBLE):
        return None
    if not head.startswith(b"DICM", 128):
        raise BadMeta("not a DICOM file")
    position, values = len(PREAMBLE), {}
    try:
        while struct.unpack_from("<H", head, position)[0] == META_GROUP:
            _, element, vr, length = struct.unpack_from("<HH2sH", head, position)
            position += 8
            if vr in LONG_VRS:
                (length,) = struct.unpack_from("<L", head, position)
                position += 4
            if position + length > MAX_HEADER_BYTES:
                raise BadMeta("file meta information without end")
            value = bytes(head[position : position + length])
            values[element] = value.rstrip(b"\0 ").decode("ascii", "replace")
            position += length
    except struct.error:
        return None  # it ends within an element
    return values, position
