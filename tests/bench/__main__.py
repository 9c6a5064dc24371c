"""All benchmarks, one after the other: ``python -m tests.bench`` (``make bench``)."""

import subprocess
import sys

BENCHMARKS = ("screen", "finder", "intake")


def main() -> int:
    """Run each in a process of its own; 1 where one failed."""
    failed = 0
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", f"tests.bench.{name}"]
        failed |= subprocess.run(command, check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
