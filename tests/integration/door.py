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

from db import spool
from db.spool import SeriesKey, SpoolWriter
from deploy.embedded import free_port
from peers.checkpoint import guard
from storescp.association.server import StorageServer
from storescp.registration.arrivals import Arrivals
from storescp.settings import StoreScpSettings


class Door:
    """A running server with its spool and what it notes."""

    def __init__(self, spool_dir: Path, *, fast: bool = True, **values: object) -> None:
        self.settings = StoreScpSettings.model_validate(
            {"host": "127.0.0.1", "port": free_port(), "spool_dir": spool_dir, "min_free_mb": 0}
            | values
        )
        self.writer = SpoolWriter(spool_dir)
        self.writer.prepare()
        self.arrivals = Arrivals()
        self.server = StorageServer(self.settings, self.writer, self.arrivals, fast=fast)

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
        return spool.instance_path(self.settings.spool_dir, key, ds.SOPInstanceUID)


OpenDoor = Callable[..., Door]
"""The fixture ``open_door``: start a server with these settings, stop it at the end."""


@contextmanager
def associated(
    door: Door,
    *,
    calling: str = "MODALITY",
    sop_classes: Sequence[str] = (CTImageStorage,),
    transfer_syntax: str = ExplicitVRLittleEndian,
) -> Iterator[Association]:
    ae = AE(calling)
    for sop_class in sop_classes:
        ae.add_requested_context(sop_class, transfer_syntax)
    assoc = ae.associate("127.0.0.1", door.port, ae_title=door.settings.ae_title)
    connection = assoc.dul.socket.socket
    if assoc.is_established:
        guard(assoc)
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()
        if connection is not None:
            connection.close()  # where the other end has gone, pynetdicom does not


def send_bytes(
    assoc: Association,
    encoded: bytes,
    *,
    sop_instance_uid: str,
    sop_class_uid: str = CTImageStorage,
) -> Dataset:
    """C-STORE of any bytes; ``send_c_store`` would encode a data set itself."""
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
