"""Run all benchmarks one after another: ``python -m tests.bench`` (``make bench``)."""

import os
import subprocess
import sys

BENCHMARKS: dict[str, tuple[str, ...]] = {
    "screen": (),
    # The first 45 of 300 volumes; all of them take an hour of CPU time.
    "finder": ("--count", "45", "--jobs", str(os.cpu_count() or 1)),
    "finder_cost": (),
    "neck": ("--count", "15"),
    "real_ct": (),
    "intake": (),
    "latency": (),
    "study": (),
    "backlog": (),
    "study_backlog": (),
    "two_workers": ("--pin",),
}


def main() -> int:
    """Run each benchmark in its own process; return 1 if one failed."""
    failed = 0
    for name, options in BENCHMARKS.items():
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", f"tests.bench.{name}", *options]
        failed |= subprocess.run(command, check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
