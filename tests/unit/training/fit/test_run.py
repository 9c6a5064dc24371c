"""A fit that is killed and started again continues to the same end; the package of a run."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.fit_run import EPOCHS
from tests.support.hips_factory import make_hips, small_preset, write_hips
from training import presets, progress
from training.fit.run import Options, fit_and_measure
from training.fit.train import STATE
from training.report.model_card import write_card
from worker.pipeline.femur_shape import STEP_MM
from worker.pipeline.model import package


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


@pytest.mark.slow
def test_network_of_the_femur_is_packaged_with_a_score_of_displaced_crops(
    tmp_path: Path,
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    hips = make_hips(45, 4)
    pixels = hips.pixels.copy()
    pixels[:, 100:150, 100:150] += 90
    steps = np.full((45, 250, 250), 80, np.int8)
    steps[:, 100:150, 100:150] = -20
    write_hips(data, replace(hips, pixels=pixels, femurs=steps))
    preset = small_preset(presets.load("osteoscreen-femur"), 1)

    with progress.ProgressBars() as bars:
        summary = fit_and_measure(
            data, run, preset, options=Options(), command="", progress=bars
        )

    model = package.load(run / "model")
    assert model.out_of_distribution is not None
    assert model.out_of_distribution.whitening.shape[1] == 1
    assert summary["familiarity"]["directions"] == 1
    assert 0 <= summary["familiarity"]["displaced_flagged"] <= 1
    assert "displaced test crops" in write_card(summary)
    distances_mm = steps[0] * np.float32(STEP_MM)
    assert model.classify(pixels[0].astype(np.float32), "R", distances_mm).probabilities
