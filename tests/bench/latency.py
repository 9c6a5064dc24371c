"""``python -m tests.bench.latency``: from the last C-STORE response to the SR in Orthanc.

The whole system on this machine, 80 coronal slices of 512 x 512, one series at a time, the wait
that completion wants taken off. Split by step, wall time; beside it the CPU time of Storage SCP
and worker. Medians; JSON last.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage

from db.overview import SeriesHistory
from peers.checkpoint import guard
from storescp.registration.completion import AFTER_RELEASE
from tests.bench.intake import cpu_seconds
from tests.faults.hospital import Hospital, running_hospital
from tests.series import copy_series, study_of, uid_of
from tests.servers import wait_for
from training.simulate.acquisition import sample_acquisition
from training.simulate.series import write_series
from training.simulate.subject import sample_subject

SLICES = 80
SIZE = 512
PIXEL_MM = 0.8
QUIET_SECONDS = 5.0
POLL_SECONDS = 0.01
SEED = 11
STEPS = (
    "load_headers", "load_pixels", "eligible", "select", "crop", "classify", "warnings",
    "capture", "report",
)  # fmt: skip
FOLDER = Path("/var/tmp")  # noqa: S108 - not /tmp: that may be memory, and fsync free there


def simulate(folder: Path) -> tuple[Path, ...]:
    """Coronal slices about the hips."""
    rng = np.random.default_rng(SEED)
    person = sample_subject(rng, grade="osteoporosis", condition="none")
    scanner = {"rows": SIZE, "columns": SIZE, "pixel_mm": PIXEL_MM, "kvp": 120}
    distance = {"thickness_mm": 3.0, "increment_mm": 3.0, "kernel": "standard"}
    acquisition = sample_acquisition(rng, person, "coronal", "pelvis", **scanner, **distance)
    paths = write_series(person, acquisition, folder)
    surplus = len(paths) - SLICES
    if surplus < 0:
        raise RuntimeError(f"{len(paths)} slices, {SLICES} are wanted")
    return tuple(paths[surplus // 2 : surplus // 2 + SLICES])


def send(paths: Sequence[Path], port: int) -> float:
    """Send all in one association; the time of the last response (seconds since 1970)."""
    instances = [dcmread(path) for path in paths]
    ae = AE("BENCH")
    ae.add_requested_context(CTImageStorage)
    assoc = ae.associate("127.0.0.1", port, ae_title="OSTEOSCREEN")
    guard(assoc)
    for ds in instances:
        status = assoc.send_c_store(ds)
        if status.Status != 0:
            raise RuntimeError(f"C-STORE answered 0x{status.Status:04X}")
    answered = time.time()
    assoc.release()
    return answered


def report_stored(hospital: Hospital, study_instance_uid: str) -> float:
    """Wait for the SR; when it was there."""
    query = {"StudyInstanceUID": study_instance_uid, "Modality": "SR"}
    deadline = time.monotonic() + 120
    while not hospital.orthanc.find("Instance", **query):
        if time.monotonic() > deadline:
            raise RuntimeError("no SR came")
        time.sleep(POLL_SECONDS)
    return time.time()


def split(
    answered: float, stored: float, waited: float, history: SeriesHistory
) -> dict[str, float]:
    """Milliseconds of each step, in order; they add up to the total but for ``total``."""
    (run,) = history.screenings
    completed, started, finished = (
        _seconds(moment) - answered - waited
        for moment in (history.series.completed_at, run.started_at, run.finished_at)
    )
    total = stored - answered - waited
    timings_ms = run.timings_ms or {}  # in the database's order
    pipeline = {name: timings_ms[name] / 1000 for name in sorted(timings_ms, key=_order)}
    rest = finished - started - sum(pipeline.values())
    steps = {
        "completion": completed,
        "nudge": started - completed,
        **pipeline,
        "files and rows": rest,
        "delivery of the SR": total - finished,
        "total": total,
    }
    return {name: round(seconds * 1000, 1) for name, seconds in steps.items()}


def _order(step: str) -> int:
    """Steps as they follow each other; one that is new here comes last."""
    return STEPS.index(step) if step in STEPS else len(STEPS)


def _seconds(moment: datetime | None) -> float:
    if moment is None:
        raise RuntimeError("the series has not come to its end")
    return moment.timestamp()


def measure(hospital: Hospital, paths: Sequence[Path]) -> dict[str, float]:
    """One series; ms of each step, and CPU ms of SCP and worker."""
    pids = {"scp_cpu": hospital.scp.pid, "worker_cpu": hospital.worker.pid}
    uid = uid_of(paths)
    answered = send(paths, hospital.port)
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    stored = report_stored(hospital, study_of(paths))
    spent = {
        name: round((cpu_seconds(pid) - before[name]) * 1000, 1) for name, pid in pids.items()
    }
    history = hospital.record.wait_until(uid)
    share = AFTER_RELEASE if history.series.completed_by == "released" else 1.0
    return split(answered, stored, share * QUIET_SECONDS, history) | spent


def main() -> None:
    """Measure, print a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to store")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="osteoscreen-bench-", dir=arguments.folder))
    try:
        series = simulate(folder / "simulated")
        settings = {"QUIET_SECONDS": QUIET_SECONDS, "SWEEP_SECONDS": 5, "LEASE_SECONDS": 60}
        load_before = os.getloadavg()[0]
        with running_hospital(folder, **settings) as hospital:
            hospital.start_scp()
            hospital.start_worker()
            measure(hospital, copy_series(series, folder / "first"))
            runs = []
            for number in range(arguments.runs):
                runs.append(measure(hospital, copy_series(series, folder / str(number))))
                wait_for(lambda: not hospital.unfinished(), "the rest")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    medians = {name: round(statistics.median(run[name] for run in runs), 1) for name in runs[0]}
    for name, ms in medians.items():
        print(f"{name:20s} {ms:8.1f} ms")
    print(f"{os.cpu_count()} cores; load average before: {load_before:.1f} (others included)")
    totals = sorted(run["total"] for run in runs)
    report = {
        "median_s": round(medians["total"] / 1000, 3),
        "best_s": round(totals[0] / 1000, 3),
        "worst_s": round(totals[-1] / 1000, 3),
        "slices": SLICES,
        "runs": len(runs),
        "load_before": round(load_before, 1),
        "steps_ms": medians,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
