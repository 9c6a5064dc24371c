"""``python -m tests.bench.finder_cost``: CPU seconds and memory of one search for femurs.

A simulated coronal series of 80 slices of 512 × 512 is loaded and searched in a process with
one thread; then noise alone of that size, which has the most points to evaluate. Prints a line
each, JSON last; exits with 1 where a limit is exceeded.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.ct_volume import load_series
from training.simulate.acquisition import sample_acquisition
from training.simulate.series import write_series
from training.simulate.subject import sample_subject
from worker.pipeline import select
from worker.pipeline.volume import Volume

SEED = 11
SLICES, ROWS = 80, 512
LIMIT_CPU_S, LIMIT_MB = 1.5, 1000
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def write(folder: Path) -> None:
    """Write the series."""
    rng = np.random.default_rng(SEED)
    subject = sample_subject(rng)
    acquisition = sample_acquisition(
        rng, subject, "coronal", "abdomen-pelvis", rows=ROWS, thickness_mm=3.0,
        increment_mm=3.0, slices=SLICES,
    )  # fmt: skip
    write_series(subject, acquisition, folder)


def read(folder: Path) -> Volume:
    """Return the canonical volume of the series."""
    return load_series(sorted(folder.rglob("*.dcm")))[1]


def measure(volume: Volume, runs: int) -> dict[str, Any]:
    """Return the median CPU seconds of the search, and the number of femurs found."""
    spent = []
    for _ in range(runs):
        start = time.process_time()
        femurs = select.find_femurs(volume)
        spent.append(time.process_time() - start)
    return {
        "shape": volume.hu.shape,
        "femurs": len(femurs),
        "find_cpu_s": round(statistics.median(spent), 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def measure_all(folder: Path, runs: int) -> dict[str, Any]:
    """Measure both volumes in this process."""
    start = time.process_time()
    volume = read(folder)
    loaded = round(time.process_time() - start, 2)
    results: dict[str, Any] = {"series": {"load_cpu_s": loaded} | measure(volume, runs)}
    noise = np.random.default_rng(SEED).normal(100, 400, volume.hu.shape)
    hu = noise.clip(-1024, 3071).astype(np.int16)
    del noise
    results["noise"] = measure(Volume(hu, volume.affine), runs)
    return results


def within_limits(result: dict[str, Any]) -> bool:
    """Return whether time and memory of one volume are within the limits."""
    return bool(result["find_cpu_s"] < LIMIT_CPU_S and result["peak_mb"] < LIMIT_MB)


def main() -> int:
    """Measure in a child process with one thread, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(measure_all(options.folder, options.runs)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        command = [sys.executable, "-m", "tests.bench.finder_cost"]
        command += ["--folder", folder, "--runs", str(options.runs)]
        environment = os.environ | dict.fromkeys(THREADS, "1")
        child = subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment
        )
    results = json.loads(child.stdout)
    for name, result in results.items():
        mark = "✓" if within_limits(result) else "✗"
        print(f"{mark} {name}: " + ", ".join(f"{key} {value}" for key, value in result.items()))
    print(json.dumps(results))
    return 0 if within_limits(results["series"]) else 1


if __name__ == "__main__":
    sys.exit(main())
