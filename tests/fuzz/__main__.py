"""``python -m tests.fuzz`` (``make fuzz``): fuzz everything that reads untrusted bytes.

Exit 1 where an input breaks a target; seed and number of the input reproduce it.
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from common.logging import configure_logging
from tests.fuzz.run import Broken, fuzz_all


def main() -> int:
    """Run all targets; print a line each, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=160_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    configure_logging("text", level=logging.ERROR)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it logs each abort as an error
    with TemporaryDirectory() as folder:
        try:
            results = fuzz_all(Path(folder), arguments.inputs, arguments.seed, print)
        except Broken as error:
            print(f"{error}: {error.__cause__!r}", file=sys.stderr)
            return 1
    total = sum(result.inputs for result in results)
    print(f"{total:,} inputs, none broke anything")
    report = {result.name: result.inputs for result in results}
    growth = max(result.growth_mb for result in results)
    kinds = {kind: count for result in results for kind, count in result.kinds.items()}
    growth_mb = round(growth, 1)
    print(
        json.dumps({"inputs": total, "growth_mb": growth_mb, "targets": report, "kinds": kinds})
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
