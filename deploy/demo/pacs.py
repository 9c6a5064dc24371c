"""A small receiving PACS for the demo: stores objects as files and answers queries.

Supports Storage, Verification, and C-FIND at IMAGE level by SOP Instance UID, which osteoscreen
needs to confirm the arrival of its objects. It accepts every peer; not for clinical use.
"""

import argparse
import signal
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

SUCCESS, PENDING, OUT_OF_RESOURCES = 0x0000, 0xFF00, 0xA700


def handle_store(event: evt.Event, folder: Path) -> int:
    """Store the encoded data set under its SOP Instance UID."""
    uid = event.request.AffectedSOPInstanceUID
    if not UID(uid).is_valid:
        return 0xC000  # not a UID and therefore not a safe file name
    try:
        (folder / f"{uid}.dcm").write_bytes(event.encoded_dataset())
    except OSError:
        return OUT_OF_RESOURCES
    return SUCCESS


def handle_find(event: evt.Event, folder: Path) -> Iterator[tuple[int, Dataset | None]]:
    """Yield a match if the instance is stored (PS3.4 C.4.1)."""
    query = event.identifier
    uid = str(query.get("SOPInstanceUID", ""))
    if UID(uid).is_valid and (folder / f"{uid}.dcm").exists():
        yield PENDING, query


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the stored objects")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ae-title", default="DEMOPACS")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    ae = AE(ae_title=arguments.ae_title)
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(Verification)
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    stopped: SimpleQueue[None] = SimpleQueue()  # whose ``put`` may interrupt its ``get``
    signal.signal(signal.SIGTERM, lambda *_: stopped.put(None))
    server = ae.start_server(
        ("127.0.0.1", arguments.port),
        block=False,
        evt_handlers=[
            (evt.EVT_C_STORE, handle_store, [arguments.folder]),
            (evt.EVT_C_FIND, handle_find, [arguments.folder]),
        ],
    )
    print(f"receiving at {arguments.ae_title}@127.0.0.1:{arguments.port}", flush=True)
    stopped.get()
    server.shutdown()


if __name__ == "__main__":
    main()
