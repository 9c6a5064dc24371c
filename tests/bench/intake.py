"""``python -m tests.bench.intake``: rate of C-STORE beside dcmtk and Orthanc.

The Storage SCP (``python -m storescp`` with a PostgreSQL) makes every instance durable before
it responds; dcmtk's storescp and Orthanc do not. The senders are storescu processes of dcmtk
with one association and one series each. The order of measurements is random in each round, so
that other load on the machine affects all receivers equally. Every measurement of a round has
its own instances, the same for all receivers. Before each measurement all dirty pages are
written back, because those of dcmtk and Orthanc would be written during the next measurement.
No file is deleted before the end, because ext4 checks and avoids the inodes of files deleted in
the last seconds. The instances received are counted outside the measured time.

Rates are medians over the rounds. CPU time is user and system time of the server and its
children. Registration is not measured (QUIET_SECONDS is long). Prints a table, then JSON.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.machine import DISK_FOLDER, cpu_seconds, describe_load
from tests.bench.receivers import DCMTK_BEST, RunningReceiver, bare, dcmtk, orthanc, osteoscreen
from tests.support.ct_factory import ct_series, write_files
from tests.support.servers import DCMTK_ENVIRONMENT, child_environment, require_tool

ASSOCIATIONS = (1, 4, 8)
SIZE = 512


@dataclass(frozen=True, slots=True)
class Load:
    """Folders to send at the same time, one per association, with equal numbers of files."""

    folders: tuple[Path, ...]
    files_each: int
    options: tuple[str, ...]


def make_load(folder: Path, associations: int, files_each: int, options: Sequence[str]) -> Load:
    """Write new series of uncompressed 512 × 512 × 16 bit CT, one per association."""
    folders = tuple(folder / f"series{n}" for n in range(associations))
    for one in folders:
        write_files(ct_series(files_each, size=SIZE), one)
    return Load(folders, files_each, tuple(options))


def send(receiver: RunningReceiver, load: Load) -> float:
    """Send all folders at the same time; return the seconds until the last sender ends."""
    program = require_tool("storescu", "dcmtk")
    command = [program, "-aet", "BENCH", "-aec", receiver.ae_title, *load.options, "+sd"]
    target = ["127.0.0.1", str(receiver.port)]
    start = time.perf_counter()
    senders = [
        subprocess.Popen(
            [*command, *target, str(folder)],
            env=child_environment() | DCMTK_ENVIRONMENT,
            stdout=subprocess.DEVNULL,
        )
        for folder in load.folders
    ]
    codes = [sender.wait() for sender in senders]
    seconds = time.perf_counter() - start
    if any(codes):
        raise RuntimeError(f"{receiver.name}: storescu ended with {codes}")
    return seconds


def measure(receiver: RunningReceiver, load: Load) -> tuple[float, float]:
    """Measure once; return instances per second and CPU seconds per instance."""
    sent = len(load.folders) * load.files_each
    count_before, cpu_before = receiver.count(), cpu_seconds(receiver.pid)
    os.sync()
    seconds = send(receiver, load)
    spent = cpu_seconds(receiver.pid) - cpu_before
    received = receiver.count() - count_before
    if received != sent:
        raise RuntimeError(f"{receiver.name} has {received} of {sent} instances")
    return sent / seconds, spent / sent


def run(
    receivers: Sequence[RunningReceiver], make: Callable[[str, int], Load], rounds: int
) -> dict[str, dict[str, Any]]:
    """Measure all receivers with all numbers of associations, in random order in each round.

    ``make`` returns a load by name and number of associations.
    """
    results: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    cases = list(itertools.product(receivers, ASSOCIATIONS))
    first = make("first", 1)
    for receiver in receivers:
        measure(receiver, first)  # warm-up
    for number in range(rounds):
        loads = {n: make(f"round{number}-{n}", n) for n in ASSOCIATIONS}
        random.shuffle(cases)
        for receiver, n in cases:
            results[receiver.name, n].append(measure(receiver, loads[n]))
    return {
        receiver.name: {
            str(associations): {
                "per_second": round(statistics.median(rate for rate, _ in values), 1),
                "cpu_ms": round(statistics.median(cpu for _, cpu in values) * 1000, 2),
            }
            for associations in ASSOCIATIONS
            if (values := results[receiver.name, associations])
        }
        for receiver in receivers
    }


def ratios(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the ratio of our median rate to that of each other receiver."""
    return {
        f"ratio_{other}_{associations}": round(
            results["osteoscreen"][str(associations)]["per_second"]
            / results[other][str(associations)]["per_second"],
            2,
        )
        for other in results
        if other != "osteoscreen"
        for associations in ASSOCIATIONS
    }


def print_table(results: dict[str, dict[str, Any]]) -> None:
    """Print instances/s and CPU ms per instance of each receiver."""
    print(f"{'':14s}" + "".join(f"{n:>8d} assoc.{'':10s}" for n in ASSOCIATIONS))
    for name, rows in results.items():
        cells = (
            f"{row['per_second']:8.1f}/s {row['cpu_ms']:6.2f} ms  " for row in rows.values()
        )
        print(f"{name:14s}" + "  ".join(cells))


def main() -> None:
    """Measure; print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds; each needs 1 GB of disk")
    parser.add_argument("--files", type=int, default=30, help="instances per association")
    parser.add_argument(
        "--folder", type=Path, default=DISK_FOLDER, help="folder for the received files"
    )
    parser.add_argument(
        "--propose-all", action="store_true", help="propose all storage contexts"
    )
    parser.add_argument("--without-orthanc", action="store_true")
    parser.add_argument("--bare", action="store_true", help="also measure the minimal receiver")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="osteoscreen-bench-", dir=arguments.folder))
    try:
        options = () if arguments.propose_all else ("-R",)

        def make(name: str, associations: int) -> Load:
            return make_load(folder / name, associations, arguments.files, options)

        with ExitStack() as stack:
            receivers = [
                stack.enter_context(osteoscreen(folder / "osteoscreen", {})),
                stack.enter_context(dcmtk("dcmtk", folder / "dcmtk", ())),
                stack.enter_context(dcmtk("dcmtk_best", folder / "best", DCMTK_BEST)),
            ]
            if arguments.bare:
                receivers.append(stack.enter_context(bare(folder / "bare")))
            if not arguments.without_orthanc:
                receivers.append(stack.enter_context(orthanc(folder / "orthanc")))
            load_before = os.getloadavg()[0]
            results = run(receivers, make, arguments.rounds)
    finally:
        shutil.rmtree(folder)
    print_table(results)
    print(describe_load(load_before))
    report = {"rounds": arguments.rounds, "load_before": round(load_before, 1)}
    print(json.dumps(ratios(results) | report | {"results": results}))


if __name__ == "__main__":
    main()
