"""A fit that is killed and started again continues to the same end; scores."""

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
from tests.support.hips_factory import make_hips, small_preset, write_hips
from training import presets
from training.fit import trained_score
from training.fit.train import STATE, Fitted
from worker.pipeline.model.networks import FEATURES, build


@pytest.mark.slow
def test_killed_fit_continues_and_ends_at_the_same_epoch(tmp_path: Path) -> None:
    data, run_dir = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    write_hips(data, make_hips(60, 4))
    arguments = [sys.executable, "-m", "tests.support.fit_run", str(data), str(run_dir)]
    first = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (run_dir / STATE).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    with np.load(run_dir / STATE) as state:
        before = json.loads(str(state["history"]))

    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)

    summary = json.loads((run_dir / "run.json").read_text())
    history = summary["training"]["history"]
    assert 1 <= len(before) <= EPOCHS
    assert history[: len(before)] == before
    assert [epoch["number"] for epoch in history] == list(range(1, EPOCHS + 1))
    assert summary["training"]["epochs"] == EPOCHS


def test_score_of_a_network_of_the_femur_is_fitted_to_displaced_crops() -> None:
    hips = make_hips(12, 4)
    network = build("osteoscreen-femur")
    fitted = Fitted(network, ())
    preset = small_preset(presets.load("osteoscreen"), 1)

    score = trained_score.fit_score(fitted, {"train": hips, "validation": hips}, preset, 1)

    assert score is not None
    assert score.whitening.shape == (network.output[FEATURES].shape[1], 1)
    measured = trained_score.limit_basis(fitted, hips, score, 1)
    assert 0 <= measured["displaced_flagged"] <= 1
    assert "margin" not in measured
