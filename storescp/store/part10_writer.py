"""Store DICOM files (PS3.10) that DICOMweb brings, on the path of a C-STORE.

The File Meta Information takes the place of the command and the presentation context. Checks,
durability and statuses are the same.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

from common.dicom.errors import NotPart10
from common.dicom.file_meta import decode_meta
from common.dicomnet import status
from storescp.store.instance_writer import StoreRequest
from storescp.store.refusal import Refusal
from storescp.store.store_operation import StorageService, StoreOperation


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """The result of one file; it is durable where ``refusal`` is None."""

    sop_class_uid: str
    sop_instance_uid: str
    refusal: Refusal | None


@dataclass(slots=True)
class Part10Writer:
    """The files of one request, one after the other; a sink for each of its parts.

    ``outcomes`` : the results of the files that have ended. ``unreadable`` : how many of them
    ended without File Meta Information. ``study_instance_uid`` : the study
    that all files must belong to; None for any. ``address`` : of the sender, "" where unknown.
    ``fills_gaps`` : as in ``StoreRequest``.
    """

    service: StorageService
    sender: Hashable
    source: str
    study_instance_uid: str | None = None
    address: str = ""
    fills_gaps: bool = False
    outcomes: list[FileOutcome] = field(default_factory=list)
    unreadable: int = 0
    _head: bytearray = field(default_factory=bytearray)
    _operation: StoreOperation | None = None
    _request: StoreRequest | None = None
    _refusal: Refusal | None = None

    def write(self, part: memoryview) -> None:
        """Append to the current file."""
        if self._operation is not None:
            self._operation.write(part)
        elif self._refusal is None:
            self._head += part
            self._begin()

    def finish(self) -> None:
        """Make the current file durable and record its outcome."""
        operation, request, refusal = self._operation, self._request, self._refusal
        if operation is not None:
            refusal = operation.finish()
        elif refusal is None:
            refusal = Refusal(status.UNDECODABLE, "file ends within its meta information")
        self._reset()
        self.unreadable += request is None
        self.outcomes.append(
            FileOutcome(
                request.sop_class_uid if request else "",
                request.sop_instance_uid if request else "",
                refusal,
            )
        )

    def discard(self) -> None:
        """Delete the current file: its rest will not arrive."""
        if self._operation is not None:
            self._operation.discard()
        self._reset()

    def _reset(self) -> None:
        self._operation = self._request = self._refusal = None
        self._head = bytearray()

    def _begin(self) -> None:
        """Begin the store operation when the File Meta Information is complete."""
        try:
            meta = decode_meta(self._head)
        except NotPart10 as error:
            self._refusal = Refusal(status.UNDECODABLE, str(error))
            return
        if meta is None:
            return
        self._request = StoreRequest(
            sop_class_uid=meta.sop_class_uid,
            sop_instance_uid=meta.sop_instance_uid,
            abstract_syntax=meta.sop_class_uid,
            transfer_syntax_uid=meta.transfer_syntax_uid,
            calling_ae_title=self.source,
            source_address=self.address,
            study_instance_uid=self.study_instance_uid,
            fills_gaps=self.fills_gaps,
        )
        self._operation = StoreOperation(self.service, self.sender, self._request)
        self._operation.write(bytes(self._head[meta.data_set_offset :]))
        self._head = bytearray()
