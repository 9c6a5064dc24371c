"""Commands of docs/start.md.

Covered: simulate and screen a folder. Not covered: ``make demo`` (run by CI), containers (no
engine).
"""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import child_environment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_commands_without_servers(tmp_path: Path) -> None:
    section = (ROOT / "docs/start.md").read_text().split("\n## Without servers\n")[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    script = block[1].replace(".venv/bin/python", shlex.quote(sys.executable))

    done = subprocess.run(
        ["bash", "-euc", script.replace("build/", f"{shlex.quote(str(tmp_path))}/")],
        cwd=ROOT,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=280,
    )

    assert done.returncode == 0, done.stderr
    entries = json.loads((tmp_path / "results/result.json").read_text())
    assert [entry["state"] for entry in entries] == ["screened", "screened"]
    for entry in entries:
        assert all((tmp_path / "results" / path).exists() for path in entry["outputs"].values())
