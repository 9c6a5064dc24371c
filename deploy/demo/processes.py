"""The services as child processes, each in a session of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

STOP_SECONDS = 30.0

# The commands as an operator types them.
STORESCP = (sys.executable, "-m", "storescp")
CELERY = (sys.executable, "-m", "celery", "-A", "worker", "worker", "--loglevel=INFO")
UPGRADE = (sys.executable, "-m", "db", "upgrade")
REVIEW = (sys.executable, "-m", "worker", "review")


class Process:
    """A program with its output in a log file; can be restarted after ``stop``."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log_path: Path,
        cwd: Path | None = None,
    ) -> None:
        self.command = tuple(command)
        self.environment = dict(environment)
        self.log_path = log_path
        self.cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def return_code(self) -> int | None:
        """Exit status; None while the process runs, negative if ended by that signal."""
        return None if self._process is None else self._process.poll()

    @property
    def pid(self) -> int:
        """Process ID of the last start; raises RuntimeError before the first."""
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.pid

    @property
    def log(self) -> str:
        """The output so far, of all starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self) -> None:
        """Start the program without waiting until it is ready."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                self.command,
                env=self.environment,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C goes to the parent, which stops the children
            )

    def wait(self, seconds: float) -> int:
        """Wait for the exit status; raise subprocess.TimeoutExpired."""
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.wait(seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> int | None:
        """Send SIGTERM, and after a timeout SIGKILL to the whole session."""
        if self._process is None:
            return None
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode

    def kill(self) -> None:
        """Send SIGKILL, as the out-of-memory killer of the kernel does."""
        if self._process is not None and self.running:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def child_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process: these settings and none of the caller's."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("OSTEOSCREEN_")}
    ours = {f"OSTEOSCREEN_{name}": value for name, value in settings.items()}
    # The processes run in another folder, so that no .env is read.
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {**inherited, **ours, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
