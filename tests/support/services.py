"""Storage SCP and worker as processes of a test."""

import itertools
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from deploy.demo.processes import CELERY, STORESCP, Process
from tests.support.forked_process import ForkedProcess
from tests.support.servers import child_environment, wait_for, wait_until_listening

StartProcess = Callable[[dict[str, object]], Process]
"""Starts a service with these settings (by name without prefix)."""

_numbers = itertools.count(1)


def run_storescp(stack: ExitStack, settings: dict[str, object], folder: Path) -> Process:
    """Start the Storage SCP and wait until it listens; stopped when ``stack`` is closed."""
    process = stack.enter_context(service_process(STORESCP, settings, folder))
    wait_until_listening(process, int(str(settings["PORT"])))
    return process


def run_celery(stack: ExitStack, settings: dict[str, object], folder: Path) -> Process:
    """Start the worker and wait until it is ready; stopped when ``stack`` is closed."""
    process = stack.enter_context(service_process(CELERY, settings, folder))
    wait_until_ready(process)
    return process


def wait_until_ready(worker: Process, times: int = 1) -> None:
    """Wait until the log of Celery has reported ``times`` times that it is ready."""

    def ready() -> bool:
        assert worker.running, f"the worker ended:\n{worker.log}"
        return worker.log.count(" ready.") >= times

    wait_for(ready, "Celery", seconds=300)


def service_process(
    command: tuple[str, ...], settings: dict[str, object], folder: Path
) -> Process:
    """Return a process that is not started; its folder and log lie in ``folder``."""
    # Not in the repository, whose .env of the developer would be read.
    cwd = folder / "cwd"
    cwd.mkdir(parents=True, exist_ok=True)
    name = f"{command[2]}-{next(_numbers)}.log"
    kind = ForkedProcess if command == CELERY else Process
    return kind(
        command, environment=child_environment(settings), log_path=folder / name, cwd=cwd
    )
