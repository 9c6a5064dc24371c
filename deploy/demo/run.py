"""``make demo``: the whole path on one machine, without installed servers.

Runs PostgreSQL and Valkey from wheels, the Storage SCP, a Celery worker and a small receiving
PACS, each as a process. Sends CT studies by C-STORE, as a PACS does, and ends when SR and SC
have arrived at the PACS.
"""

import argparse
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from deploy.demo.console import console
from deploy.demo.input import DemoStudy, find_ct, simulate
from deploy.demo.results import collect, wait_for_results
from deploy.demo.review import wait_for_reader
from deploy.demo.sending import send_all
from deploy.demo.stack import DemoFailed, DemoStack, start_demo_stack
from deploy.demo.summary import report

OLD_OUTPUTS = ("*.sr.dcm", "*.sc.dcm", "*.png", "summary.json")


def main() -> None:
    """Run the demo; exit 0 if everything arrived, 1 if not, 2 for invalid input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ct", type=Path, help="send the CT in this folder instead")
    parser.add_argument("--out", type=Path, default=Path("demo-output"))
    parser.add_argument("--model", type=Path, help="model package; default: the shipped one")
    parser.add_argument(
        "--pacs", type=parse_pacs, metavar="AET@HOST:PORT", help="deliver to this PACS as well"
    )
    parser.add_argument(
        "--ui", action="store_true", help="serve the review page at the end until Ctrl-C"
    )
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # A terminated demo stops its servers like an interrupted one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = None if arguments.ct is None else find_ct(arguments.ct)
    if found == ():
        console.print(f"{arguments.ct}: no CT series in it", style="red")
        sys.exit(2)
    try:
        at_end = _serve_review if arguments.ui else None
        out = arguments.out.resolve()
        sys.exit(run(found, out, arguments.model, at_end=at_end, pacs=arguments.pacs))
    except DemoFailed as error:
        console.print(str(error), style="red")
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("interrupted; everything is stopped", style="yellow")
        sys.exit(130)


def run(
    studies: Sequence[DemoStudy] | None,
    out: Path,
    model: Path | None,
    *,
    at_end: Callable[[DemoStack], None] | None = None,
    pacs: Mapping[str, Any] | None = None,
) -> int:
    """Run the demo and return its exit status; always stop what was started.

    Simulates the studies if ``studies`` is None. ``at_end`` is called while everything still
    runs. ``pacs`` is a further destination.
    """
    prepare(out)
    with ExitStack() as stack:
        work = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="osteoscreen-demo-"))
        )
        demo = start_demo_stack(stack, work, out / "logs", model, pacs)
        sent = send_all(demo, studies or simulate(work / "input"))
        histories = wait_for_results(demo, sent)
        summary = [entry for study in sent for entry in collect(demo, study, histories, out)]
        problems = report(summary, out)
        if at_end is not None:
            at_end(demo)
    return 1 if problems else 0


def prepare(out: Path) -> None:
    """Create the output folder and delete the files of an earlier demo."""
    out.mkdir(parents=True, exist_ok=True)
    for pattern in OLD_OUTPUTS:
        for path in out.glob(pattern):
            path.unlink()
    shutil.rmtree(out / "logs", ignore_errors=True)


def parse_pacs(text: str) -> dict[str, Any]:
    """Parse ``ORTHANC@localhost:4242`` as an entry of ``OSTEOSCREEN_DESTINATIONS``."""
    parts = re.fullmatch(r"(?P<title>[^@\\]{1,16})@(?P<host>[^@]+):(?P<port>\d{1,5})", text)
    if parts is None:
        raise argparse.ArgumentTypeError(
            f"{text!r}: write the PACS as AET@HOST:PORT, such as ORTHANC@localhost:4242"
        )
    return {
        "name": "pacs",
        "kind": "dimse",
        "ae_title": parts["title"],
        "host": parts["host"],
        "port": int(parts["port"]),
    }


def _serve_review(demo: DemoStack) -> None:
    wait_for_reader(demo.database_url, demo.spool_dir, check=demo.check)
