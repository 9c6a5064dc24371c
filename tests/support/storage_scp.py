"""A Storage SCP in a thread of the test, without a database, and associations to it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, Association
from pynetdicom.dimse_primitives import C_STORE

from common.dicomnet.checkpoint import patch_reactor_checkpoint
from common.settings.storescp import StoreScpSettings
from common.spool import layout
from common.spool.layout import SeriesKey
from common.spool.writer import SpoolWriter
from deploy.demo.embedded import free_port
from storescp.association.server import StorageServer
from storescp.registration.associations import Associations
from storescp.registration.pending_series import PendingSeries
from storescp.store.store_operation import StorageService


def threads_since(before: set[threading.Thread]) -> int:
    """Return how many threads were started after ``before``; earlier ones may end meanwhile."""
    return len(set(threading.enumerate()) - before)


class StorageScpFixture:
    """A server with its spool, associations and pending series.

    ``streaming`` : receive C-STORE by ``StreamingDUL``, else by pynetdicom. ``values`` :
    settings.
    """

    def __init__(self, spool_dir: Path, *, streaming: bool = True, **values: object) -> None:
        self.settings = StoreScpSettings.model_validate(
            {"host": "127.0.0.1", "port": free_port(), "spool_dir": spool_dir, "min_free_mb": 0}
            | values
        )
        self.writer = SpoolWriter(spool_dir)
        self.writer.prepare()
        self.pending = PendingSeries()
        self.associations = Associations(
            self.pending,
            limit=self.settings.max_associations,
            limit_per_peer=self.settings.max_associations_per_peer,
        )
        self.service = StorageService(self.writer, self.settings, self.associations)
        self.server = StorageServer(
            self.settings, self.writer, self.associations, streaming=streaming
        )

    def start(self) -> None:
        self.server.bind()
        self.server.listen()
        self.server.start()
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self.server.close_port()
        self.server.stop()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                self.server.take(*self.server.accept())

    @property
    def port(self) -> int:
        return self.settings.port

    def files(self) -> list[Path]:
        return sorted(path for path in self.settings.spool_dir.rglob("*") if path.is_file())

    def path_of(self, ds: Dataset) -> Path:
        key = SeriesKey(ds.StudyInstanceUID, ds.SeriesInstanceUID)
        return layout.instance_path(self.settings.spool_dir, key, ds.SOPInstanceUID)


OpenStorageScp = Callable[..., StorageScpFixture]
"""The fixture ``open_storage_scp``: starts a server with these settings."""


@contextmanager
def associated(
    scp: StorageScpFixture,
    *,
    calling: str = "MODALITY",
    sop_classes: Sequence[str] = (CTImageStorage,),
    transfer_syntax: str = ExplicitVRLittleEndian,
    address: str = "127.0.0.1",
) -> Iterator[Association]:
    """Open an association from a loopback ``address``; it need not be established."""
    ae = AE(calling)
    for sop_class in sop_classes:
        ae.add_requested_context(sop_class, transfer_syntax)
    assoc = ae.associate(
        "127.0.0.1",
        scp.port,
        ae_title=scp.settings.ae_title,
        bind_address=(address, 0),
    )
    connection = assoc.dul.socket.socket
    if assoc.is_established:
        patch_reactor_checkpoint(assoc)
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()
        if connection is not None:
            connection.close()  # pynetdicom leaves it open where the peer has gone


def send_bytes(
    assoc: Association,
    encoded: bytes,
    *,
    sop_instance_uid: str,
    sop_class_uid: str = CTImageStorage,
) -> Dataset:
    """Send any bytes by C-STORE; ``send_c_store`` would encode the data set itself."""
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = sop_class_uid
    request.AffectedSOPInstanceUID = sop_instance_uid
    request.Priority = 2
    request.DataSet = BytesIO(encoded)
    assoc._reactor_checkpoint.clear()
    assoc.dimse.send_msg(request, assoc.accepted_contexts[0].context_id)
    _, response = assoc.dimse.get_msg(block=True)
    assoc._reactor_checkpoint.set()
    answer = Dataset()
    answer.Status = response.Status
    answer.ErrorComment = response.ErrorComment or ""
    return answer
