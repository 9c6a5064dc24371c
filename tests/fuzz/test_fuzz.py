"""Covered: a short run of ``python -m tests.fuzz`` in its own process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import ROOT, child_environment

pytestmark = [pytest.mark.servers, pytest.mark.slow]


def test_a_short_run_breaks_nothing(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--inputs", "2000", "--seed", "5"],
        cwd=ROOT,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout.splitlines()[-1])
    assert report["inputs"] >= 2000
    assert all(report["targets"].values())
    assert report["kinds"].keys() >= {"nesting", "labels", "constant slices", "two persons"}
