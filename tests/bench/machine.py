"""CPU time of processes, and the disk of the benchmarks."""

import os
from pathlib import Path

DISK_FOLDER = Path("/var/tmp")  # noqa: S108 - /tmp may be in memory, where fsync costs nothing
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process tree, with children that were waited for."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    spent = sum(int(field) for field in fields[11:15]) / TICKS_PER_SECOND
    tasks = list(Path("/proc").glob(f"{pid}/task/*/children"))
    return spent + sum(cpu_seconds(int(one)) for task in tasks for one in _read(task).split())


def describe_load(load_before: float) -> str:
    """Describe the cores and the load average before the measurements."""
    return f"{os.cpu_count()} cores; load average before: {load_before:.1f} (others included)"


def _read(path: Path) -> str:
    """Read a file of /proc; return an empty string if the process has ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
