"""A fit that is killed and started again continues to the same end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.fit_run import EPOCHS
from tests.support.hips_factory import make_hips, write_hips
from training.fit.train import STATE


@pytest.mark.slow
def test_killed_fit_continues_and_ends_at_the_same_epoch(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    write_hips(data, make_hips(60, 4))
    arguments = [sys.executable, "-m", "tests.support.fit_run", str(data), str(run)]
    first = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (run / STATE).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    with np.load(run / STATE) as state:
        before = json.loads(str(state["history"]))

    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)

    summary = json.loads((run / "run.json").read_text())
    history = summary["training"]["history"]
    assert 1 <= len(before) <= EPOCHS
    assert history[: len(before)] == before
    assert [epoch["number"] for epoch in history] == list(range(1, EPOCHS + 1))
    assert summary["training"]["epochs"] == EPOCHS
