"""Start-up of the demo stack: embedded servers, Storage SCP, worker and receiving PACS."""

import json
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.demo.console import console, print_done
from deploy.demo.embedded import Postgres, Valkey, free_port
from deploy.demo.processes import CELERY, STORESCP, UPGRADE, Process, child_environment

START_SECONDS = 180.0
QUIET_SECONDS, STUDY_QUIET_SECONDS = 2, 3
PACS_TITLE = "DEMOPACS"
READY_LINES = ("receiving at", "storescp_ready", " ready.")
"""Log text of a ready process: PACS, Storage SCP, worker."""


class DemoFailed(RuntimeError):
    """The demo cannot continue; the message states why."""


@dataclass(frozen=True, slots=True)
class DemoStack:
    """Running processes of the demo, and the folders of their files."""

    database_url: str
    scp_port: int
    spool_dir: Path
    pacs_dir: Path
    processes: tuple[Process, ...]

    def check(self) -> None:
        """Raise DemoFailed if one of the processes has ended."""
        for process in self.processes:
            if not process.running:
                raise DemoFailed(f"a process ended, see {process.log_path}")


def start_demo_stack(
    stack: ExitStack,
    work: Path,
    logs: Path,
    model: Path | None,
    pacs: Mapping[str, Any] | None = None,
) -> DemoStack:
    """Start servers and processes; they are stopped when ``stack`` is closed.

    ``pacs`` is a further destination, in the format of the setting ``DESTINATIONS``.
    """
    with console.status("starting PostgreSQL and Redis"):
        postgres = stack.enter_context(Postgres())
        redis = stack.enter_context(Valkey())
    print_done("PostgreSQL and Redis are running (from wheels, on free ports)")
    scp_port, pacs_port = free_port(), free_port()
    settings = {
        "DATABASE_URL": postgres.url,
        "BROKER_URL": redis.url,
        "SPOOL_DIR": str(work / "spool"),
        "HOST": "127.0.0.1",
        "PORT": str(scp_port),
        "ALLOW_ANY_CALLING_AE": "true",  # reachable from this machine only
        "QUIET_SECONDS": str(QUIET_SECONDS),
        "STUDY_QUIET_SECONDS": str(STUDY_QUIET_SECONDS),
        "DESTINATIONS": _destinations(pacs_port, pacs),
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
    print_done("python -m db upgrade")
    options = ("--port", str(pacs_port), "--ae-title", PACS_TITLE)
    processes = (
        start("pacs", sys.executable, "-m", "deploy.demo.pacs", str(work / "pacs"), *options),
        start("storescp", *STORESCP),
        start("worker", *CELERY),
    )
    demo = DemoStack(postgres.url, scp_port, work / "spool", work / "pacs", processes)
    with console.status("starting the Storage SCP, the receiving PACS and the Celery worker"):
        _wait_until_ready(demo)
    print_done("python -m storescp, celery -A worker worker, and a receiving PACS are ready")
    return demo


def _destinations(pacs_port: int, pacs: Mapping[str, Any] | None) -> str:
    demo: dict[str, Any] = {"name": "demo", "kind": "dimse", "ae_title": PACS_TITLE}
    demo |= {"host": "127.0.0.1", "port": pacs_port}
    return json.dumps([demo, dict(pacs)] if pacs else [demo])


def _wait_until_ready(demo: DemoStack) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not all(
        line in process.log for process, line in zip(demo.processes, READY_LINES, strict=True)
    ):
        demo.check()
        if time.monotonic() > deadline:
            logs = ", ".join(str(process.log_path) for process in demo.processes)
            raise DemoFailed(f"not ready after {START_SECONDS:.0f} s, see {logs}")
        time.sleep(0.1)
