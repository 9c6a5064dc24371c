"""``python -m tests.bench.study``: cost of a routed study of six series beside its best series.

Runs the whole system. Sends in turn a study of six series, interleaved over two associations,
and a study of its selected series alone. Measures the CPU time of Storage SCP and worker, and
the time from the last C-STORE response to the SR in Orthanc, less the quiet period of a study.
Prints medians and ratios, then JSON. The CPU time of the Storage SCP grows with the number of
images; that of the worker should not.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.bench.latency import PIXEL_MM, SEED, SIZE, send, wait_for_report
from tests.bench.machine import DISK_FOLDER, cpu_seconds, describe_load
from tests.support.servers import wait_for
from tests.support.system_under_test import SystemUnderTest, running_system
from training.simulate.acquisition import sample_acquisition
from training.simulate.study import SELECTED, write_routed_study
from training.simulate.subject import sample_subject

QUIET_SECONDS, STUDY_QUIET_SECONDS = 2.0, 20.0
"""The second is long enough for the registration of all series, as the default of 60 s is."""
ASSOCIATIONS = 2
RATIOS = ("scp", "worker", "cpu", "latency")
WAIT_SECONDS = 900.0  # for a machine with other load

Series = Mapping[str, Sequence[Path]]


def simulate(folder: Path, size: int) -> Series:
    """Write a routed study; ``size`` : rows and columns of the series not selected."""
    rng = np.random.default_rng(SEED)
    person = sample_subject(rng, grade="osteoporosis", condition="none")
    scanner = {"rows": SIZE, "columns": SIZE, "pixel_mm": PIXEL_MM, "kvp": 120}
    slices = {"thickness_mm": 3.0, "increment_mm": 3.0, "kernel": "standard"}
    coronal = sample_acquisition(rng, person, "coronal", "pelvis", **scanner, **slices)
    return write_routed_study(person, coronal, folder, size=size)


def copy_study(series: Series, folder: Path) -> tuple[str, tuple[Path, ...]]:
    """Write the series with new UIDs; return the study UID and the files, interleaved."""
    study = generate_uid()
    copied = [
        _copy_series(paths, folder / str(number), study)
        for number, paths in enumerate(series.values())
    ]
    rounds = chain.from_iterable(zip_longest(*copied))
    return study, tuple(path for path in rounds if path is not None)


def _copy_series(paths: Sequence[Path], folder: Path, study: str) -> list[Path]:
    folder.mkdir(parents=True)
    series, copies = generate_uid(), []
    for path in paths:
        ds = dcmread(path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        copies.append(folder / path.name)
        ds.save_as(copies[-1])
    return copies


def measure(system: SystemUnderTest, series: Series, folder: Path) -> dict[str, float]:
    """Send a copy of a study; return CPU seconds of SCP and worker, and the latency in s.

    The time of the worker counts from the last C-STORE response: before, it is idle.
    """
    study, paths = copy_study(series, folder)
    scp_before = cpu_seconds(system.scp.pid)
    parts = [paths[start::ASSOCIATIONS] for start in range(ASSOCIATIONS)]
    with ThreadPoolExecutor(ASSOCIATIONS) as pool:
        answered = max(pool.map(send, parts, [system.port] * ASSOCIATIONS))
    worker_before = cpu_seconds(system.worker.pid)
    stored = wait_for_report(system, study, WAIT_SECONDS)
    wait_for(lambda: _is_delivered(system, study), "the study to be delivered", WAIT_SECONDS)
    scp = cpu_seconds(system.scp.pid) - scp_before
    worker = cpu_seconds(system.worker.pid) - worker_before
    shutil.rmtree(folder)
    steps = _split(system, study, answered + STUDY_QUIET_SECONDS, stored)
    return {"scp": scp, "worker": worker, "cpu": scp + worker, **steps, "instances": len(paths)}


def _split(system: SystemUnderTest, study: str, due: float, stored: float) -> dict[str, float]:
    """Return the seconds of each step from the end of the quiet period to the SR, and all.

    ``due`` and ``stored`` are Unix times.
    """
    history = system.record.find_study(study)
    if history is None or history.study.completed_at is None:
        raise RuntimeError("the study was not completed")
    run = history.screenings[-1]
    if run.finished_at is None:
        raise RuntimeError("the run has not ended")
    completed, started, finished = (
        moment.timestamp()
        for moment in (history.study.completed_at, run.started_at, run.finished_at)
    )
    return {
        "completion": completed - due,
        "task message": started - completed,
        "run": finished - started,
        "delivery": stored - finished,
        "latency": stored - due,
    }


def _is_delivered(system: SystemUnderTest, study: str) -> bool:
    history = system.record.find_study(study)
    return history is not None and history.study.state == "delivered"


def main() -> None:
    """Measure; print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--size", type=int, default=SIZE, help="rows and columns of the series not selected"
    )
    parser.add_argument(
        "--folder", type=Path, default=DISK_FOLDER, help="folder for the files of the system"
    )
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="osteoscreen-bench-", dir=arguments.folder))
    load_before = os.getloadavg()[0]
    try:
        series = simulate(folder / "simulated", arguments.size)
        studies = {"six": series, "best": {SELECTED: series[SELECTED]}}
        runs = _measure_all(studies, folder, arguments.runs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    medians = {
        name: {key: statistics.median(run[key] for run in of) for key in of[0]}
        for name, of in runs.items()
    }
    keys = [key for key in medians["six"] if key != "instances"]
    ratios = {key: round(medians["six"][key] / medians["best"][key], 2) for key in RATIOS}
    print(f"{'s':14s}{'six series':>12s}{'best alone':>12s}{'ratio':>8s}")
    for key in keys:
        six, best = (medians[name][key] for name in ("six", "best"))
        print(f"{key:14s}{six:12.2f}{best:12.2f}{ratios.get(key, ''):>8}")
    print(describe_load(load_before))
    report = {
        "runs": arguments.runs,
        "size": arguments.size,
        "load_before": round(load_before, 1),
        "seconds": {
            name: {key: round(value, 3) for key, value in of.items()}
            for name, of in medians.items()
        },
        "ratios": ratios,
    }
    print(json.dumps(report))


def _measure_all(
    studies: Mapping[str, Series], folder: Path, runs: int
) -> dict[str, list[dict[str, float]]]:
    """Measure each study ``runs`` times in turn, after a first one that fills caches."""
    settings = {
        "QUIET_SECONDS": QUIET_SECONDS,
        "STUDY_QUIET_SECONDS": STUDY_QUIET_SECONDS,
        "RESULT_PER": "study",
        "SWEEP_SECONDS": 5,
        "LEASE_SECONDS": 60,
    }
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in studies}
    with running_system(folder, **settings) as system:
        system.start_scp()
        system.start_worker()
        measure(system, studies["best"], folder / "first")
        for number in range(runs):
            for name, series in studies.items():
                measured[name].append(measure(system, series, folder / f"{name}{number}"))
    return measured


if __name__ == "__main__":
    main()
