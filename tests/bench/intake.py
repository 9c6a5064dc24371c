"""``python -m tests.bench.intake``: how fast are instances taken, next to dcmtk and Orthanc?

The whole service (``python -m storescp`` with a PostgreSQL) makes every instance durable before
it answers; dcmtk's storescp and Orthanc do not. The senders are dcmtk's storescu processes, one
association each, a series each. Rounds are shuffled, so that a busy machine is unfair to none.
Every measurement of a round has instances of its own, the same for all receivers; before each,
all dirty pages are written back, for dcmtk and Orthanc leave theirs to whoever comes next.
Nothing is deleted before the end: ext4 avoids the inodes of files deleted in the last seconds,
and looks at each. What was received is counted, outside of the clock.

Rates are medians over the rounds. CPU is that of the server and of its children, user and
system. Not measured: registration (QUIET_SECONDS is long here). JSON last.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.embedded import Postgres, free_port
from deploy.processes import STORESCP, UPGRADE, Process
from tests.ct_factory import ct_series, write_files
from tests.servers import (
    DCMTK_ENVIRONMENT,
    child_environment,
    require_tool,
    running_orthanc,
    wait_until_listening,
)

ASSOCIATIONS = (1, 4, 8)
SIZE = 512
FOLDER = Path("/var/tmp")  # noqa: S108 - not /tmp: that may be memory, and fsync free there
TICKS = os.sysconf("SC_CLK_TCK")
DCMTK_BEST = ("--fork", "+B", "-pdu", "131072")


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running Storage SCP. ``count`` says how many instances it holds."""

    name: str
    port: int
    ae_title: str
    pid: int
    count: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent at once: one folder per association, with the same number of files."""

    folders: tuple[Path, ...]
    files_each: int
    options: tuple[str, ...]


def make_load(folder: Path, associations: int, files_each: int, options: Sequence[str]) -> Load:
    """New series of uncompressed 512 x 512 x 16 bit CT, one per association."""
    folders = tuple(folder / f"series{n}" for n in range(associations))
    for one in folders:
        write_files(ct_series(files_each, size=SIZE), one)
    return Load(folders, files_each, tuple(options))


def send(receiver: Receiver, load: Load) -> float:
    """Send all folders at once; seconds from the first start to the last end."""
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


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree: the living, and children that were waited for."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    spent = sum(int(field) for field in fields[11:15]) / TICKS
    tasks = list(Path("/proc").glob(f"{pid}/task/*/children"))
    return spent + sum(cpu_seconds(int(one)) for task in tasks for one in _read(task).split())


def _read(path: Path) -> str:
    """A file of a thread or process that may just have ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def measure(receiver: Receiver, load: Load) -> tuple[float, float]:
    """One measurement: instances/s and CPU s per instance."""
    sent = len(load.folders) * load.files_each
    held, before = receiver.count(), cpu_seconds(receiver.pid)
    os.sync()
    seconds = send(receiver, load)
    spent = cpu_seconds(receiver.pid) - before
    kept = receiver.count() - held
    if kept != sent:
        raise RuntimeError(f"{receiver.name} has kept {kept} of {sent} instances")
    return sent / seconds, spent / sent


def run(
    receivers: Sequence[Receiver], make: Callable[[str, int], Load], rounds: int
) -> dict[str, dict[str, Any]]:
    """All receivers with all numbers of associations, shuffled anew in each round.

    ``make`` : a load by its name and number of associations.
    """
    results: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    cases = list(itertools.product(receivers, ASSOCIATIONS))
    first = make("first", 1)
    for receiver in receivers:
        measure(receiver, first)  # whatever is slow the first time only
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
    """Our rate divided by theirs, of medians."""
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


@contextmanager
def osteoscreen(folder: Path, settings: dict[str, object]) -> Iterator[Receiver]:
    """The service as it is deployed, with a database and without a broker."""
    folder.mkdir(parents=True)
    with Postgres() as postgres:
        port, spool = free_port(), folder / "spool"
        environment = child_environment(
            {
                "DATABASE_URL": postgres.url,
                "BROKER_URL": f"redis://127.0.0.1:{free_port()}/0",
                "SPOOL_DIR": spool,
                "HOST": "127.0.0.1",
                "PORT": port,
                "QUIET_SECONDS": 3600,
                **settings,
            }
        )
        with _process(UPGRADE, environment, folder) as upgrade:
            if upgrade.wait(60):
                raise RuntimeError(upgrade.log)
        with _process(STORESCP, environment, folder) as process:
            wait_until_listening(process, port)
            yield Receiver(
                "osteoscreen",
                port,
                "OSTEOSCREEN",
                process.pid,
                count=lambda: sum(1 for _ in spool.rglob("*.dcm")),
            )


@contextmanager
def dcmtk(name: str, folder: Path, options: Sequence[str]) -> Iterator[Receiver]:
    """dcmtk's storescp; it flushes nothing to the disk."""
    program, port = require_tool("storescp", "dcmtk"), free_port()
    kept = folder / "kept"
    kept.mkdir(parents=True)
    command = (program, *options, "--output-directory", str(kept), str(port))
    with _process(command, child_environment() | DCMTK_ENVIRONMENT, folder) as process:
        wait_until_listening(process, port)
        yield Receiver(
            name,
            port,
            "STORESCP",
            process.pid,
            count=lambda: sum(1 for _ in kept.iterdir()),
        )


@contextmanager
def bare(folder: Path) -> Iterator[Receiver]:
    """As little as a receiver in Python can do: how much the rest of ours costs."""
    folder.mkdir()
    port = free_port()
    kept = folder / "kept"
    kept.mkdir()
    command = (sys.executable, "-m", "tests.bench.bare", str(port), str(kept))
    with _process(command, child_environment(), folder) as process:
        wait_until_listening(process, port)
        yield Receiver(
            "bare", port, "BARE", process.pid, count=lambda: sum(1 for _ in kept.rglob("*.dcm"))
        )


@contextmanager
def orthanc(folder: Path) -> Iterator[Receiver]:
    """Orthanc with its SQLite index, its defaults otherwise."""
    with running_orthanc(folder) as server:
        yield Receiver(
            "orthanc",
            server.dicom_port,
            server.ae_title,
            server.process.pid,
            count=lambda: int(server.get("/statistics")["CountInstances"]),
        )


def _process(command: Sequence[str], environment: dict[str, str], folder: Path) -> Process:
    return Process(command, environment=environment, log_path=folder / "server.log", cwd=folder)


def print_table(results: dict[str, dict[str, Any]]) -> None:
    """Instances/s and CPU ms per instance of each receiver."""
    print(f"{'':14s}" + "".join(f"{n:>8d} assoc.{'':10s}" for n in ASSOCIATIONS))
    for name, rows in results.items():
        cells = (
            f"{row['per_second']:8.1f}/s {row['cpu_ms']:6.2f} ms  " for row in rows.values()
        )
        print(f"{name:14s}" + "  ".join(cells))


def main() -> None:
    """Measure all, print a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="1 GB of disk each")
    parser.add_argument("--files", type=int, default=30, help="instances per association")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to store")
    parser.add_argument("--propose-all", action="store_true", help="all storage contexts")
    parser.add_argument("--without-orthanc", action="store_true")
    parser.add_argument("--bare", action="store_true", help="a bare loop in Python, too")
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
    print(f"{os.cpu_count()} cores; load average before: {load_before:.1f} (others included)")
    report = {"rounds": arguments.rounds, "load_before": round(load_before, 1)}
    print(json.dumps(ratios(results) | report | {"results": results}))


if __name__ == "__main__":
    main()
