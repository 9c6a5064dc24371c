"""Send series to the Storage SCP as a modality does, by C-STORE."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE

from common.dicomnet.checkpoint import patch_reactor_checkpoint
from deploy.demo.console import console, print_done
from deploy.demo.input import DemoSeries
from deploy.demo.stack import DemoStack


def send_all(demo: DemoStack, series: Iterable[DemoSeries]) -> list[DemoSeries]:
    """Send each series over an association of its own, as soon as it is available."""
    sent = []
    with console.status("sending CT (simulating a series takes about 10 s)"):
        for one in series:
            accepted = send(one.paths, demo.scp_port)
            print_done(
                f"sent {accepted} of {len(one.paths)} instances of {one.series_instance_uid}"
            )
            sent.append(one)
    return sent


def send(paths: Sequence[Path], port: int) -> int:
    """Send files over one association; return the number of accepted instances."""
    headers = [dcmread(path, stop_before_pixels=True) for path in paths]
    ae = AE(ae_title="MODALITY")
    for kind in sorted({(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in headers}):
        ae.add_requested_context(*kind)
    assoc = ae.associate("127.0.0.1", port, ae_title="OSTEOSCREEN")
    if not assoc.is_established:
        raise RuntimeError(f"no association with the Storage SCP at port {port}")
    patch_reactor_checkpoint(assoc)
    accepted = 0
    try:
        for path in paths:
            status = assoc.send_c_store(dcmread(path))
            accepted += "Status" in status and status.Status == 0
    finally:
        assoc.release()
    return accepted
