"""Files of ``deploy``, and the tools that read them."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SERVICES = ("storescp", "worker", "review")


def run(*command: str | Path, cwd: Path = DEPLOY) -> str:
    """Return the output of a tool, which must succeed."""
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output
