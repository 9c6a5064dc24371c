"""Worker processes without the CPU time of ``import tensorflow``, two thirds of their start.

They are forked from a process that has imported packages of others, and none of ours, and run
the same command with the same environment. The tests of the demo start the command itself.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.demo.processes import Process

IMPORTS = [
    "tests.support.service_packages.sitecustomize",
    "celery.bin.celery",
    "celery.concurrency.thread",
    "highdicom",
    "kombu.transport.redis",
    "psycopg2",
    "pynetdicom",
    "sqlalchemy.orm",
    "tensorflow",
]
FORK_SERVER = multiprocessing.get_context("forkserver")
FORK_SERVER.set_forkserver_preload(IMPORTS)


class ForkedProcess(Process):
    """A ``python -m`` command that runs in a fork of the process with the imports."""

    def start(self) -> None:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        module, *arguments = self.command[2:]
        fork = Fork(module, arguments, self.environment, self.cwd, self.log_path)
        self._process = fork  # type: ignore[assignment] # has what Process uses of Popen


class Fork:
    """The part of ``subprocess.Popen`` that ``Process`` uses."""

    def __init__(
        self,
        module: str,
        arguments: list[str],
        environment: Mapping[str, str],
        cwd: Path | None,
        stdout: Path,
        stderr: Path | None = None,
    ) -> None:
        self._process = FORK_SERVER.Process(
            target=run_module,
            args=(module, arguments, dict(environment), cwd, stdout, stderr or stdout),
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("fork", seconds or 0)
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def run_module(
    module: str,
    arguments: list[str],
    environment: Mapping[str, str],
    cwd: Path | None,
    stdout: Path,
    stderr: Path,
) -> None:
    """Become ``python -m module arguments``, in a session of its own, with output in files."""
    os.setsid()
    if cwd is not None:
        os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for path, mode, number in ((os.devnull, "rb", 0), (stdout, "ab", 1), (stderr, "ab", 2)):
        with open(path, mode) as file:
            os.dup2(file.fileno(), number)
    sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path[:] = ["", *environment["PYTHONPATH"].split(os.pathsep), *sys.path]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
