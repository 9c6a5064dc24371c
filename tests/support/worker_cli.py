"""The operator commands ``python -m worker``, run as processes."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.servers import child_environment


def run_worker(
    *arguments: object, cwd: Path, settings: Mapping[str, object] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. ``settings`` : by name, without the prefix."""
    return subprocess.run(
        [sys.executable, "-m", "worker", *map(str, arguments)],
        env=child_environment(settings),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )
