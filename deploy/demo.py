"""``make demo``: the whole path on one machine, with nothing to install.

A real PostgreSQL and a real Redis out of wheels, the Storage SCP, a Celery worker and a small
receiving PACS, each a process of its own. CT series are sent by C-STORE as a modality sends
them; the demo ends when SR and SC have arrived at the PACS.
"""

import argparse
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from db.overview import SeriesHistory, series_history
from db.session import make_engine, make_sessions
from db.states import DeliveryState, SeriesState
from deploy.demo_input import Sent, find_ct, send, simulate
from deploy.demo_review import wait_for_reader
from deploy.embedded import Postgres, Redis, free_port
from deploy.processes import CELERY, STORESCP, UPGRADE, Process, child_environment

START_SECONDS = 180.0
SERIES_SECONDS = 120.0
QUIET_SECONDS = 2
PACS_TITLE = "DEMOPACS"
FINAL = frozenset({SeriesState.DELIVERED, SeriesState.REJECTED, SeriesState.FAILED})
OLD_OUTPUTS = ("*.sr.dcm", "*.sc.dcm", "*.png", "summary.json")

console = Console(highlight=False)


class DemoFailed(RuntimeError):
    """The demo cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Ward:
    """Everything that runs, and where it keeps its files."""

    database_url: str
    scp_port: int
    spool_dir: Path
    pacs_dir: Path
    processes: tuple[Process, ...]

    def check(self) -> None:
        """Raise DemoFailed when one of the processes has ended."""
        for process in self.processes:
            if not process.running:
                raise DemoFailed(f"a process ended, see {process.log_path}")


def main() -> None:
    """Run the demo; exit 0 when everything arrived, 1 when not, 2 for bad input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ct", type=Path, help="send the CT under this folder instead")
    parser.add_argument("--out", type=Path, default=Path("demo-output"))
    parser.add_argument("--model", type=Path, help="model package; default: the shipped one")
    parser.add_argument(
        "--pacs", type=pacs_of, metavar="AET@HOST:PORT", help="deliver to this PACS as well"
    )
    parser.add_argument(
        "--ui", action="store_true", help="leave the review page open at the end"
    )
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # So that a terminated demo stops its servers like an interrupted one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = None if arguments.ct is None else find_ct(arguments.ct)
    if found == ():
        console.print(f"{arguments.ct}: no CT series in it", style="red")
        sys.exit(2)
    try:
        look = _show_review if arguments.ui else None
        out = arguments.out.resolve()
        sys.exit(run(found, out, arguments.model, look, arguments.pacs))
    except DemoFailed as error:
        console.print(str(error), style="red")
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("interrupted; everything is stopped", style="yellow")
        sys.exit(130)


def run(
    found: Sequence[Sent] | None,
    out: Path,
    model: Path | None,
    look: Callable[[Ward], None] | None = None,
    pacs: Mapping[str, Any] | None = None,
) -> int:
    """The demo from start to end; whatever happens, everything that was started is stopped.

    ``found`` : the series to send; simulated ones where it is None. ``look`` : called at the
    end, while everything still runs. ``pacs`` : a further destination.
    """
    prepare(out)
    with ExitStack() as stack:
        work = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="osteoscreen-demo-"))
        )
        ward = open_ward(stack, work, out / "logs", model, pacs)
        sent = send_all(ward, found or simulate(work / "input"))
        finals = wait_for_results(ward, sent)
        summary = [collect(ward, one, finals[one.series_instance_uid], out) for one in sent]
        wrong = tell(summary, out)
        if look is not None:
            look(ward)
    return 1 if wrong else 0


def tell(summary: Sequence[Mapping[str, Any]], out: Path) -> list[str]:
    """Write and print what came of each series; returns what is wrong."""
    (out / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    console.print(table_of(summary))
    console.print(f"pictures, SR and SC: {out}")
    wrong = [problem for entry in summary for problem in entry["problems"]]
    for problem in wrong:
        console.print(problem, style="red")
    return wrong


def _show_review(ward: Ward) -> None:
    wait_for_reader(ward.database_url, ward.spool_dir, check=ward.check)


def prepare(out: Path) -> None:
    """Make the output folder, without what an earlier demo left in it."""
    out.mkdir(parents=True, exist_ok=True)
    for pattern in OLD_OUTPUTS:
        for path in out.glob(pattern):
            path.unlink()
    shutil.rmtree(out / "logs", ignore_errors=True)


def pacs_of(text: str) -> dict[str, Any]:
    """``ORTHANC@localhost:4242`` as a destination of ``OSTEOSCREEN_DESTINATIONS``."""
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


def open_ward(
    stack: ExitStack,
    work: Path,
    logs: Path,
    model: Path | None,
    pacs: Mapping[str, Any] | None = None,
) -> Ward:
    """Start servers and processes; they stop when ``stack`` is closed."""
    with console.status("starting PostgreSQL and Redis"):
        postgres = stack.enter_context(Postgres())
        redis = stack.enter_context(Redis())
    done("PostgreSQL and Redis are running (out of wheels, on free ports)")
    scp_port, pacs_port = free_port(), free_port()
    ours: dict[str, Any] = {"name": "demo", "kind": "dimse", "ae_title": PACS_TITLE}
    ours |= {"host": "127.0.0.1", "port": pacs_port}
    settings = {
        "DATABASE_URL": postgres.url,
        "BROKER_URL": redis.url,
        "SPOOL_DIR": str(work / "spool"),
        "HOST": "127.0.0.1",
        "PORT": str(scp_port),
        "QUIET_SECONDS": str(QUIET_SECONDS),
        "DESTINATIONS": json.dumps([ours, dict(pacs)] if pacs else [ours]),
    }
    if model is not None:
        settings["MODEL_DIR"] = str(model.resolve())
    environment = child_environment(settings)

    def start(name: str, *command: str) -> Process:
        log_path = logs / f"{name}.log"
        process = Process(command, environment=environment, log_path=log_path, cwd=work)
        return stack.enter_context(process)

    if start("upgrade", *UPGRADE).wait(START_SECONDS) != 0:
        raise DemoFailed(f"python -m db upgrade failed, see {logs / 'upgrade.log'}")
    done("python -m db upgrade")
    options = ("--port", str(pacs_port), "--ae-title", PACS_TITLE)
    processes = (
        start("pacs", sys.executable, "-m", "deploy.pacs", str(work / "pacs"), *options),
        start("storescp", *STORESCP),
        start("worker", *CELERY),
    )
    ward = Ward(postgres.url, scp_port, work / "spool", work / "pacs", processes)
    with console.status("starting the Storage SCP, the receiving PACS and the Celery worker"):
        wait_until_up(ward, dict(zip(processes, READY, strict=True)))
    done("python -m storescp, celery -A worker worker, and a receiving PACS are up")
    return ward


# What each process says when it serves: PACS, Storage SCP, worker.
READY = ("receiving at", "storescp_ready", " ready.")


def wait_until_up(ward: Ward, words: Mapping[Process, str]) -> None:
    """Wait until each process has said its word."""
    deadline = time.monotonic() + START_SECONDS
    while not all(word in process.log for process, word in words.items()):
        ward.check()
        if time.monotonic() > deadline:
            raise DemoFailed("the processes do not come up, see the logs")
        time.sleep(0.1)


def send_all(ward: Ward, series: Iterable[Sent]) -> list[Sent]:
    """Send every series over an association of its own, as soon as it is there."""
    sent = []
    with console.status("sending CT (to simulate a series takes about 10 s)"):
        for one in series:
            accepted = send(one.paths, ward.scp_port)
            done(f"sent {accepted} of {len(one.paths)} instances of {one.series_instance_uid}")
            sent.append(one)
    return sent


def wait_for_results(ward: Ward, sent: Sequence[Sent]) -> dict[str, SeriesHistory | None]:
    """Wait until every series is delivered, rejected or failed; their histories."""
    sessions = make_sessions(make_engine(ward.database_url, application_name="demo"))
    deadline = time.monotonic() + SERIES_SECONDS * (1 + len(sent) / 4)
    with console.status("") as status:
        while True:
            with sessions.begin() as session:
                found = {
                    one.series_instance_uid: series_history(session, one.series_instance_uid)
                    for one in sent
                }
            states = [
                history.series.state if history else "not yet on record"
                for history in found.values()
            ]
            if all(state in FINAL for state in states) or time.monotonic() > deadline:
                return found
            status.update("waiting for SR and SC: " + ", ".join(states))
            ward.check()
            time.sleep(0.2)


def collect(ward: Ward, sent: Sent, history: SeriesHistory | None, out: Path) -> dict[str, Any]:
    """Copy what the PACS received of one series; its entry of ``summary.json``."""
    uid = sent.series_instance_uid
    series = history.series if history else None
    result = (
        next((run.result for run in reversed(history.screenings) if run.result), None)
        if history
        else None
    )
    paths: dict[str, str | None] = {"sr": None, "sc": None, "png": None}
    problems = []
    for delivered in history.deliveries if history else ():
        one = delivered.result_object
        received = ward.pacs_dir / f"{one.sop_instance_uid}.dcm"
        if received.exists():
            paths[one.role] = str(shutil.copy(received, out / f"{uid}.{one.role}.dcm"))
        else:
            problems.append(f"{uid}: {one.role.upper()} did not arrive at the PACS")
    if result and result["outputs"]["png"]:
        paths["png"] = str(shutil.copy(result["outputs"]["png"], out / f"{uid}.png"))
    problems += complaints(sent, history)
    return {
        "series_uid": uid,
        "simulated": sent.simulated,
        "instances": len(sent.paths),
        "state": result["state"] if result else (series.state.value if series else "lost"),
        "delivered": series is not None and series.state is SeriesState.DELIVERED,
        "reason": result["reason"] if result else None,
        "orientation": result["orientation"] if result else None,
        "hips": result["hips"] if result else [],
        "grade": result["grade"] if result else None,
        **paths,
        "problems": problems,
    }


def complaints(sent: Sent, history: SeriesHistory | None) -> list[str]:
    """What is wrong with how a series ended."""
    uid = sent.series_instance_uid
    if history is None:
        return [f"{uid}: the Storage SCP did not register it"]
    series = history.series
    if series.state not in FINAL:
        owed = sorted(
            {
                f"; {one.delivery.destination}: {one.delivery.error}"
                for one in history.deliveries
                if one.delivery.state is DeliveryState.DUE and one.delivery.error
            }
        )
        return [f"{uid}: still {series.state} when the demo ended{''.join(owed)}"]
    if series.state is SeriesState.FAILED:
        return [f"{uid}: failed ({series.error})"]
    if sent.must_be_rejected and series.state is not SeriesState.REJECTED:
        return [f"{uid}: had to be rejected, and was graded"]
    if sent.simulated and not sent.must_be_rejected and series.state is SeriesState.REJECTED:
        return [f"{uid}: had to be graded, and was rejected"]
    return []


def table_of(summary: Sequence[Mapping[str, Any]]) -> Table:
    """The summary for people."""
    table = Table("series", "was", "result", "hips", "at the PACS")
    for entry in summary:
        known = entry["simulated"]
        was = "–" if known is None else f"{known['grade']}, T {known['t_score']:+.1f}"
        if known is not None and known["condition"] != "none":
            was += f", {known['condition']}"
        hips = ", ".join(
            f"{hip['side']} {hip['grade'] or hip['reason']['code']}" for hip in entry["hips"]
        )
        reason = entry["reason"]
        result = f"rejected: {reason['code']}" if reason else (entry["grade"] or entry["state"])
        arrived = [role.upper() for role in ("sr", "sc") if entry[role]]
        table.add_row(
            f"…{entry['series_uid'][-12:]}", was, result, hips, " + ".join(arrived) or "–"
        )
    return table


def done(text: str) -> None:
    """Say that a step is done."""
    console.print(f"[green]✓[/] {text}")


if __name__ == "__main__":
    main()
