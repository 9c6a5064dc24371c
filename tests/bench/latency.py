"""``python -m tests.bench.latency``: time from the last C-STORE response to the SR in Orthanc.

Runs the whole system and sends series of 80 coronal slices of 512 × 512 one after another. The
quiet period of completion is subtracted. Prints medians of the wall time of each step and of
the CPU time of Storage SCP and worker, then JSON.
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

from common.dicomnet.checkpoint import patch_reactor_checkpoint
from db.history import SeriesHistory
from storescp.registration.completion import AFTER_RELEASE
from tests.bench.machine import DISK_FOLDER, cpu_seconds, describe_load
from tests.support.series import copy_series, study_of, uid_of
from tests.support.servers import wait_for
from tests.support.system_under_test import SystemUnderTest, running_system
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


def simulate(folder: Path) -> tuple[Path, ...]:
    """Write a simulated series and return its middle slices, which contain the hips."""
    rng = np.random.default_rng(SEED)
    person = sample_subject(rng, grade="osteoporosis", condition="none")
    scanner = {"rows": SIZE, "columns": SIZE, "pixel_mm": PIXEL_MM, "kvp": 120}
    slices = {"thickness_mm": 3.0, "increment_mm": 3.0, "kernel": "standard"}
    acquisition = sample_acquisition(rng, person, "coronal", "pelvis", **scanner, **slices)
    paths = write_series(person, acquisition, folder)
    surplus = len(paths) - SLICES
    if surplus < 0:
        raise RuntimeError(f"simulated {len(paths)} slices, expected at least {SLICES}")
    return tuple(paths[surplus // 2 : surplus // 2 + SLICES])


def send(paths: Sequence[Path], port: int) -> float:
    """Send all files in one association; return the time of the last response (Unix time)."""
    instances = [dcmread(path) for path in paths]
    ae = AE("BENCH")
    ae.add_requested_context(CTImageStorage)
    assoc = ae.associate("127.0.0.1", port, ae_title="OSTEOSCREEN")
    patch_reactor_checkpoint(assoc)
    for ds in instances:
        status = assoc.send_c_store(ds)
        if status.Status != 0:
            raise RuntimeError(f"C-STORE answered 0x{status.Status:04X}")
    answered = time.time()
    assoc.release()
    return answered


def wait_for_report(
    system: SystemUnderTest, study_instance_uid: str, seconds: float = 120
) -> float:
    """Wait for the SR in Orthanc; return the time of its arrival (Unix time)."""
    query = {"StudyInstanceUID": study_instance_uid, "Modality": "SR"}
    deadline = time.monotonic() + seconds
    while not system.orthanc.find("Instance", **query):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no SR arrived within {seconds:.0f} s")
        time.sleep(POLL_SECONDS)
    return time.time()


def split(
    answered: float, stored: float, waited: float, history: SeriesHistory
) -> dict[str, float]:
    """Return the milliseconds of each step in order, and their sum as ``total``.

    ``answered`` and ``stored`` are Unix times, ``waited`` is the quiet period in seconds.
    """
    (screening,) = history.screenings
    completed, started, finished = (
        _seconds(moment) - answered - waited
        for moment in (history.series.completed_at, screening.started_at, screening.finished_at)
    )
    total = stored - answered - waited
    timings_ms = screening.timings_ms or {}  # PostgreSQL does not keep the order of keys
    pipeline = {name: timings_ms[name] / 1000 for name in sorted(timings_ms, key=_order)}
    rest = finished - started - sum(pipeline.values())
    steps = {
        "completion": completed,
        "task message": started - completed,
        **pipeline,
        "files and rows": rest,
        "delivery of the SR": total - finished,
        "total": total,
    }
    return {name: round(seconds * 1000, 1) for name, seconds in steps.items()}


def _order(step: str) -> int:
    """Return the sort key of a step; unknown ones come last."""
    return STEPS.index(step) if step in STEPS else len(STEPS)


def _seconds(moment: datetime | None) -> float:
    if moment is None:
        raise RuntimeError("the series was not finished")
    return moment.timestamp()


def measure(system: SystemUnderTest, paths: Sequence[Path]) -> dict[str, float]:
    """Send one series; return ms of each step, and CPU ms of Storage SCP and worker."""
    pids = {"scp_cpu": system.scp.pid, "worker_cpu": system.worker.pid}
    uid = uid_of(paths)
    answered = send(paths, system.port)
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    stored = wait_for_report(system, study_of(paths))
    spent = {
        name: round((cpu_seconds(pid) - before[name]) * 1000, 1) for name, pid in pids.items()
    }
    history = system.record.wait_until(uid)
    share = AFTER_RELEASE if history.series.completed_by == "released" else 1.0
    return split(answered, stored, share * QUIET_SECONDS, history) | spent


def main() -> None:
    """Measure; print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument(
        "--folder", type=Path, default=DISK_FOLDER, help="folder for the files of the system"
    )
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="osteoscreen-bench-", dir=arguments.folder))
    try:
        series = simulate(folder / "simulated")
        settings = {"QUIET_SECONDS": QUIET_SECONDS, "SWEEP_SECONDS": 5, "LEASE_SECONDS": 60}
        load_before = os.getloadavg()[0]
        with running_system(folder, **settings) as system:
            system.start_scp()
            system.start_worker()
            measure(system, copy_series(series, folder / "first"))
            runs = []
            for number in range(arguments.runs):
                runs.append(measure(system, copy_series(series, folder / str(number))))
                wait_for(lambda: not system.unfinished(), "the other objects of the series")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    medians = {name: round(statistics.median(run[name] for run in runs), 1) for name in runs[0]}
    for name, ms in medians.items():
        print(f"{name:20s} {ms:8.1f} ms")
    print(describe_load(load_before))
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
