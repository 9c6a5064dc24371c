"""The operator commands ``python -m worker`` and a worker that does not start, as processes."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.forked_process import Fork
from tests.support.servers import child_environment


def run_worker(
    *arguments: object, cwd: Path, settings: Mapping[str, object] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. ``settings`` : by name, without the prefix."""
    command = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        fork = Fork("worker", command, child_environment(settings), cwd, stdout, stderr)
        try:
            status = fork.wait(300)
        finally:
            fork.kill()
        return subprocess.CompletedProcess(
            command, status, stdout.read_text(), stderr.read_text()
        )


def run_celery_worker(
    *, cwd: Path, settings: Mapping[str, object]
) -> subprocess.CompletedProcess[str]:
    """Run ``celery -A worker worker`` with settings that it refuses, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", "worker"],
        env=child_environment(settings),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def worker_json(*arguments: object, cwd: Path, settings: Mapping[str, object]) -> Any:
    """Return what a command that succeeds prints with ``--json``."""
    done = run_worker(*arguments, "--json", cwd=cwd, settings=settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
