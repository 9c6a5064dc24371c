"""``python -m tests.drill``: faults of a night shift, one after the other, in any order.

Runs the whole system (as root: its spool is a small file system; needs libfaketime). After each
fault the looks of docs/troubleshooting.md follow in their order: ``doctor``, the alerts of a
Prometheus that reads the services (pending or firing), the log. The first one that names the
cause is noted with the time that it took; then the fault is mended, and ``doctor`` must pass
again. Prints a table in
Markdown; exit code 1 if a cause was not named, or a series that was sent did not end. The looks
are made by a program that knows what it looks for: the times say nothing of a person who reads.
"""

import argparse
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from deploy.demo.embedded import free_port
from deploy.demo.processes import Process
from tests.drill.faults import FAULTS, Drill, Fault
from tests.support.quick_series import make_quick_series
from tests.support.servers import (
    child_environment,
    require_tool,
    wait_for,
    wait_until_listening,
)
from tests.support.system_under_test import running_system

SPOOL_MB = 1600
PATIENCE_SECONDS = 120.0
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Row:
    """A fault and how it was found."""

    fault: Fault
    looks: tuple[str, ...]
    seconds: float
    said: str | None
    mended_seconds: float | None


def doctor(drill: Drill) -> list[str]:
    """Return the failures that ``doctor`` reports, a line each; none if all checks pass."""
    done = drill.operate("doctor", "--json")
    if done.returncode == 2:
        return done.stderr.splitlines()
    checks = json.loads(done.stdout)
    return [f"{one['name']}: {one['detail']}" for one in checks if not one["ok"]]


def ask_prometheus(port: int, path: str) -> Any:
    """Return the data of an answer of its API."""
    with urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=10) as answer:
        return json.load(answer)["data"]


def alerts(prometheus_port: int) -> list[str]:
    """Return the alerts that are pending or firing, a line each."""
    found = ask_prometheus(prometheus_port, "alerts")["alerts"]
    return [f"{one['labels']['alertname']} {one['annotations']['summary']}" for one in found]


def look(
    drill: Drill, prometheus_port: int, log_before: int
) -> Iterator[tuple[str, list[str]]]:
    """Look where the page says, in its order."""
    yield "doctor", doctor(drill)
    yield "alerts", alerts(prometheus_port)
    yield "log", drill.system.logs[log_before:].splitlines()


def try_fault(drill: Drill, prometheus_port: int, fault: Fault) -> Row:
    """Break the system, look until the cause is named, and mend it."""
    log_before, started = len(drill.system.logs), time.monotonic()
    with fault.broken(drill):
        said, looks = None, []
        while said is None and time.monotonic() - started < PATIENCE_SECONDS:
            for name, lines in look(drill, prometheus_port, log_before):
                looks.append(name)
                said = next((one for one in lines if re.search(fault.says, one)), None)
                if said is not None:
                    break
        seconds = time.monotonic() - started
    mended = time.monotonic()
    with suppress(AssertionError):
        wait_for(lambda: not doctor(drill), "doctor to pass", PATIENCE_SECONDS)
        return Row(fault, tuple(looks), seconds, said, time.monotonic() - mended)
    return Row(fault, tuple(looks), seconds, said, None)


def table(rows: Sequence[Row]) -> str:
    """Return the record of the drill in Markdown."""
    lines = [
        "| fault | looked at, in this order | said | found after | mended by"
        " | `doctor` passes after |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        said = "**not found**" if row.said is None else short(row.said)
        passes = "**never**" if row.mended_seconds is None else f"{row.mended_seconds:.0f} s"
        lines.append(
            f"| {row.fault.name} | {', '.join(row.looks)} | {said} | {row.seconds:.0f} s"
            f" | {row.fault.mended_by} | {passes} |"
        )
    return "\n".join(lines)


def short(line: str) -> str:
    """Return a line without folders, ports and columns, at most 100 characters."""
    text = re.sub(r"/\S+/", "…/", re.sub(r":\d{4,5}\b", ":PORT", line)).replace("|", "/")
    return f"`{' '.join(text.split())[:100]}`"


@contextmanager
def small_file_system(folder: Path) -> Iterator[None]:
    """Mount a file system of ``SPOOL_MB`` for the spool."""
    folder.mkdir(parents=True)
    size = f"size={SPOOL_MB}m,mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "drill", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def prometheus(folder: Path, metrics_ports: dict[str, int]) -> Iterator[int]:
    """Run Prometheus with the alerts as shipped; return its port."""
    folder.mkdir()
    jobs = [
        {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        for job, port in metrics_ports.items()
    ]
    every = {"scrape_interval": "5s", "scrape_timeout": "4s", "evaluation_interval": "5s"}
    rules = [str(ROOT / "deploy/monitoring/alerts.yml")]
    configuration = folder / "prometheus.json"  # JSON is YAML
    configuration.write_text(
        json.dumps({"global": every, "rule_files": rules, "scrape_configs": jobs})
    )
    port = free_port()
    command = (
        require_tool("prometheus", "prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    process = Process(command, environment=child_environment(), log_path=folder / "log")
    with process:
        wait_until_listening(process, port)
        yield port


def readings(port: int) -> int:
    """Return how often Prometheus has read the Storage SCP within a minute."""
    query = urlencode({"query": "max(count_over_time(osteoscreen_associations_total[1m]))"})
    found = ask_prometheus(port, f"query?{query}")["result"]
    return int(found[0]["value"][1]) if found else 0


def run(folder: Path, faults: Sequence[Fault]) -> tuple[list[Row], list[str]]:
    """Run the drill; return its rows, and what is wrong with the series that were sent."""
    model = folder / "model"
    shutil.copytree(ROOT / "worker/shipped", model)
    settings: dict[str, object] = {
        "SPOOL_DIR": folder / "spool",
        "MODEL_DIR": model,
        "ALLOWED_CALLING_AETS": "MODALITY,SECOND,ORTHANC",
        "MAX_ASSOCIATIONS_PER_PEER": 8,
        "MIN_FREE_MB": 1024,
    }
    ports = {"storescp": free_port(), "worker": free_port()}
    with (
        small_file_system(folder / "spool"),
        running_system(folder, **settings) as system,
        prometheus(folder / "prometheus", ports) as prometheus_port,
    ):
        system.start_scp(OSTEOSCREEN_METRICS_PORT=str(ports["storescp"]))
        system.start_worker(OSTEOSCREEN_METRICS_PORT=str(ports["worker"]))
        drill = Drill(system, make_quick_series(folder / "quick"), folder)
        # As in a hospital, where it runs long before the fault: an increase needs two readings.
        wait_for(lambda: readings(prometheus_port) >= 2, "Prometheus to read", 60)
        rows = []
        for fault in faults:
            rows.append(try_fault(drill, prometheus_port, fault))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
        system.send_all(drill.quick.write(drill.new_folder()))
        system.wait_until_all_ended()
        wrong = [one.text for one in system.violations()]
    return rows, wrong


def main() -> int:
    """Run the drill; print its record."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="order of the faults")
    parser.add_argument("--only", action="append", help="faults whose name has this text")
    arguments = parser.parse_args()
    chosen = arguments.only or [""]
    faults = [one for one in FAULTS if any(text in one.name for text in chosen)]
    random.Random(arguments.seed).shuffle(faults)  # noqa: S311 - an order, no secret
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what was started
    folder = Path(tempfile.mkdtemp(prefix="osteoscreen-drill-"))
    try:
        rows, wrong = run(folder, faults)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = [one for one in rows if one.said is not None and one.mended_seconds is not None]
    print(table(rows))
    print(f"{len(found)} of {len(rows)} found and mended; series: {wrong or 'all ended'}")
    return int(len(found) < len(rows) or bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
