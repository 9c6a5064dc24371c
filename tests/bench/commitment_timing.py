"""``python -m tests.bench.commitment_timing``: reports of Storage Commitment at any moment.

Delivers one object to a PACS that reports from 20 ms before to 20 ms after its N-ACTION
response, in equal steps. Prints how many deliveries returned with their report, as JSON.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from pydicom.uid import SecondaryCaptureImageStorage

from common.logging import configure_logging
from tests.support.commitment_timing import deliver, report_at
from tests.support.deliveries import write_object
from tests.support.odd_pacs import OddPacs
from worker.delivery.result import Accepted

LIMIT_SECONDS = 60.0


def run(deliveries: int, reach_ms: float) -> Counter[str]:
    """Return the number of deliveries by outcome."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, OddPacs() as pacs:
        path = write_object(Path(folder), SecondaryCaptureImageStorage, "1.2.3")
        for number in range(deliveries):
            after_ms = reach_ms * (2 * number / max(1, deliveries - 1) - 1)
            pacs.manner = report_at(after_ms / 1000)
            delivered = deliver([path], pacs, seconds=LIMIT_SECONDS)
            counts[_name(delivered[0] if delivered else None)] += 1
    return counts


def _name(outcomes: object) -> str:
    if not isinstance(outcomes, dict):
        return "hangs"
    committed = all(one == Accepted("0x0000", "commitment") for one in outcomes.values())
    return "committed" if committed else "not recorded"


def main() -> int:
    """Run the deliveries; return 1 unless each was committed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=2000)
    parser.add_argument("--reach-ms", type=float, default=20.0)
    options = parser.parse_args()
    configure_logging("text", level=logging.CRITICAL)
    start = time.monotonic()
    counts = run(options.deliveries, options.reach_ms)
    print(json.dumps({**counts, "seconds": round(time.monotonic() - start, 1)}))
    return 0 if counts["committed"] == options.deliveries else 1


if __name__ == "__main__":
    sys.exit(main())
