"""Send studies to the Storage SCP as a PACS does, by C-STORE."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, zip_longest
from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE

from common.dicomnet.checkpoint import patch_reactor_checkpoint
from deploy.demo.console import console, print_done
from deploy.demo.input import DemoStudy
from deploy.demo.stack import DemoStack

ASSOCIATIONS = 2
"""Associations over which a study of several series is sent."""


def send_all(demo: DemoStack, studies: Iterable[DemoStudy]) -> list[DemoStudy]:
    """Send each study as soon as it is available."""
    sent = []
    with console.status("sending CT (simulating a study takes about 10 s)"):
        for study in studies:
            accepted = send_study(study, demo.scp_port)
            print_done(_line_of(study, accepted))
            sent.append(study)
    return sent


def send_study(study: DemoStudy, port: int) -> int:
    """Send a study; return the number of accepted instances.

    Several series are sent interleaved over two associations at once, as a PACS may do.
    """
    if len(study.series) == 1:
        return send(study.series[0].paths, port)
    rounds = zip_longest(*(series.paths for series in study.series))
    paths = [path for path in chain.from_iterable(rounds) if path is not None]
    parts = [paths[start::ASSOCIATIONS] for start in range(ASSOCIATIONS)]
    with ThreadPoolExecutor(ASSOCIATIONS) as pool:
        return sum(pool.map(send, filter(None, parts), [port] * ASSOCIATIONS))


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


def _line_of(study: DemoStudy, accepted: int) -> str:
    instances, uid = sum(len(series.paths) for series in study.series), study.study_instance_uid
    line = f"sent {accepted} of {instances} instances of study …{uid[-12:]}"
    if len(study.series) == 1:
        return line
    return f"{line}: {len(study.series)} series, interleaved over {ASSOCIATIONS} associations"
