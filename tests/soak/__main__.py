"""Soak test: sends series or studies through the whole system while its processes are killed.

Run by ``python -m tests.soak --series 2000`` or ``--studies 1000``. Storage SCP, worker, Redis
(with and without loss of its data) and PostgreSQL get SIGKILL every few seconds, one at a time,
and are restarted. Most series are screened and some are rejected; some are sent over several
associations, and of some the last slices arrive late. Studies have three to six series; of some
a better or a worse series arrives after the report. At the end nothing may be lost or
duplicated (``tests/support/invariants.py``). Prints progress lines, then a JSON report; exits 1
if an invariant is violated.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak.run import Plan, run

FOLDER = Path("/var/tmp")  # noqa: S108 - not /tmp: that may be memory


def main() -> int:
    """Run, print the report as JSON; return 1 if an invariant is violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--series", type=int, default=2000, help="with one result each")
    amount.add_argument("--studies", type=int, help="with one result each")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument(
        "--minutes", type=float, default=Plan.minutes, help="stop sending after this time"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="folder for all files of the run"
    )
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="osteoscreen-soak-", dir=arguments.folder))
    try:
        report = run(
            folder,
            Plan(
                count=arguments.studies or arguments.series,
                per="study" if arguments.studies else "series",
                every_seconds=arguments.every,
                minutes=arguments.minutes,
                workers=arguments.workers,
                seed=arguments.seed,
            ),
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report))
    return 1 if report["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
