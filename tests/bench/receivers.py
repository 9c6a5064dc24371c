"""Receivers of the intake benchmark: our Storage SCP, a minimal one, dcmtk and Orthanc."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.embedded import Postgres, free_port
from deploy.demo.processes import STORESCP, UPGRADE, Process
from tests.support.servers import (
    DCMTK_ENVIRONMENT,
    child_environment,
    require_tool,
    running_orthanc,
    wait_until_listening,
)

DCMTK_BEST = ("--fork", "+B", "-pdu", "131072")


@dataclass(frozen=True, slots=True)
class RunningReceiver:
    """A running Storage SCP; ``count`` returns the number of its instances."""

    name: str
    port: int
    ae_title: str
    pid: int
    count: Callable[[], int]


@contextmanager
def osteoscreen(folder: Path, settings: dict[str, object]) -> Iterator[RunningReceiver]:
    """Run the Storage SCP as deployed, with a database and without a broker."""
    folder.mkdir(parents=True)
    with Postgres() as postgres:
        port, spool = free_port(), folder / "spool"
        environment = child_environment(
            {
                "DATABASE_URL": postgres.url,
                "BROKER_URL": f"redis://127.0.0.1:{free_port()}/0",
                "SPOOL_DIR": spool,
                "HOST": "127.0.0.1",
                "PORT": port,
                "QUIET_SECONDS": 3600,
                **settings,
            }
        )
        with _process(UPGRADE, environment, folder) as upgrade:
            if upgrade.wait(60):
                raise RuntimeError(upgrade.log)
        with _process(STORESCP, environment, folder) as process:
            wait_until_listening(process, port)
            yield RunningReceiver(
                "osteoscreen",
                port,
                "OSTEOSCREEN",
                process.pid,
                count=lambda: sum(1 for _ in spool.rglob("*.dcm")),
            )


@contextmanager
def dcmtk(name: str, folder: Path, options: Sequence[str]) -> Iterator[RunningReceiver]:
    """Run dcmtk's storescp, which does not flush files to the disk."""
    program, port = require_tool("storescp", "dcmtk"), free_port()
    received_dir = folder / "received"
    received_dir.mkdir(parents=True)
    command = (program, *options, "--output-directory", str(received_dir), str(port))
    with _process(command, child_environment() | DCMTK_ENVIRONMENT, folder) as process:
        wait_until_listening(process, port)
        yield RunningReceiver(
            name,
            port,
            "STORESCP",
            process.pid,
            count=lambda: sum(1 for _ in received_dir.iterdir()),
        )


@contextmanager
def bare(folder: Path) -> Iterator[RunningReceiver]:
    """Run the minimal receiver (`tests.bench.bare`)."""
    folder.mkdir()
    port = free_port()
    received_dir = folder / "received"
    received_dir.mkdir()
    command = (sys.executable, "-m", "tests.bench.bare", str(port), str(received_dir))
    with _process(command, child_environment(), folder) as process:
        wait_until_listening(process, port)
        yield RunningReceiver(
            "bare",
            port,
            "BARE",
            process.pid,
            count=lambda: sum(1 for _ in received_dir.rglob("*.dcm")),
        )


@contextmanager
def orthanc(folder: Path) -> Iterator[RunningReceiver]:
    """Run Orthanc with its default configuration and SQLite index."""
    with running_orthanc(folder) as server:
        yield RunningReceiver(
            "orthanc",
            server.dicom_port,
            server.ae_title,
            server.process.pid,
            count=lambda: int(server.get("/statistics")["CountInstances"]),
        )


def _process(command: Sequence[str], environment: dict[str, str], folder: Path) -> Process:
    return Process(command, environment=environment, log_path=folder / "server.log", cwd=folder)
