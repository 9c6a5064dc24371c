"""``python -m tests.bench.screen``: time per series on the CPU.

Screens whole simulated series, coronal and axial, by ``worker.pipeline.screen``, and measures
the network alone: forward pass, and forward pass with Grad-CAM; and the CPU time of the rules
that validate the input beside that of a screening with its report and pictures. Prints medians,
then JSON.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from training.simulate.acquisition import sample_acquisition
from training.simulate.series import write_series
from training.simulate.subject import sample_subject
from worker.pipeline import load, select
from worker.pipeline.decoding.header import read_header
from worker.pipeline.demographics import Demographics
from worker.pipeline.femurs.grid import build_grid
from worker.pipeline.model import package
from worker.pipeline.model.explain import compile_explain
from worker.pipeline.model.networks import CROP, FEMUR_MM, LOGITS, PATIENT, build
from worker.pipeline.results import Model, Rejected, Screening
from worker.pipeline.screen import screen
from worker.pipeline.validation import eligibility, images
from worker.pipeline.validation.patient import ALL_ADULTS
from worker.pipeline.validation.slice_consistency import thumbnail
from worker.pipeline.volume import Orientation, Series, Volume
from worker.screening.outputs import build_outputs

SEED = 11
NETWORKS = ("osteoscreen-femur", "paper-image")
PLANES: tuple[Orientation, ...] = ("coronal", "axial")


def medians_ms(runs: int, **subjects: Callable[[], object]) -> dict[str, float]:
    """Return the median wall time of each subject.

    Calls are interleaved, so that other load on the machine affects all subjects equally.
    """
    spent: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(runs):
        for name, subject in subjects.items():
            start = time.perf_counter()
            subject()
            spent[name].append((time.perf_counter() - start) * 1000)
    return {name: round(statistics.median(values), 2) for name, values in spent.items()}


def bench_network(preset: str, runs: int) -> dict[str, Any]:
    """Measure forward passes with and without Grad-CAM on one crop, with random weights."""
    network = build(preset)
    pixels = np.random.default_rng(SEED).uniform(0, 255, (250, 250)).astype(np.float32)
    femur_mm = np.full(pixels.shape, -20, np.float32)
    explain = compile_explain(network)
    inputs = {
        CROP: pixels[None, :, :, None],
        FEMUR_MM: femur_mm[None, :, :, None],
        PATIENT: Demographics().vector()[None],
    }
    inputs = {name: tf.constant(inputs[name]) for name in network.input}
    forward = tf.function(lambda given: network(given, training=False)[LOGITS])
    forward(inputs)
    return {
        "parameters": network.count_params(),
        **medians_ms(
            runs,
            forward_ms=lambda: forward(inputs).numpy(),
            forward_and_grad_cam_ms=lambda: explain(pixels, femur_mm=femur_mm),
        ),
    }


def bench_series(model: Model, plane: Orientation, runs: int) -> dict[str, Any]:
    """Screen one simulated series ``runs`` times."""
    rng = np.random.default_rng(SEED)
    subject = sample_subject(rng)
    acquisition = sample_acquisition(
        rng, subject, plane=plane, view="abdomen-pelvis", thickness_mm=3.0
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = write_series(subject, acquisition, Path(folder))
        results = [screen(paths, model) for _ in range(runs)]
        validation = bench_validation(paths, model, runs)
    steps = {
        name: round(statistics.median(result.timings_ms[name] for result in results), 1)
        for name in results[0].timings_ms
    }
    return {
        "slices": len(paths),
        "state": "rejected" if isinstance(results[0], Rejected) else "screened",
        "total_ms": round(sum(steps.values()), 1),
        "steps_ms": steps,
        "validation": validation,
    }


def bench_validation(paths: Sequence[Path], model: Model, runs: int) -> dict[str, float]:
    """Return the median CPU ms of the rules and of a screening, and the share of the rules."""
    measured = [_cpu_of_rules_and_screening(paths, model) for _ in range(runs)]
    rules, screening = (
        statistics.median(column) * 1000 for column in zip(*measured, strict=True)
    )
    return {
        "rules_cpu_ms": round(rules, 1),
        "screening_cpu_ms": round(screening, 1),
        "share": round(rules / screening, 3),
    }


def _cpu_of_rules_and_screening(paths: Sequence[Path], model: Model) -> tuple[float, float]:
    headers = [read_header(path).dataset for path in paths]
    series = load.read_series(paths)
    volume = load.read_volume(series) if isinstance(series, Series) else None
    if not isinstance(series, Series) or not isinstance(volume, Volume):
        raise RuntimeError("the series was rejected")
    femurs = select.find_femurs(volume, build_grid(volume))
    image = np.zeros((headers[0].Rows, headers[0].Columns), np.float32)
    start = time.process_time()
    images.check_images(headers)
    eligibility.check_before_pixels(series, 0, ALL_ADULTS)
    for _ in paths:
        thumbnail(image)
    eligibility.check_volume(volume)
    eligibility.check_femurs(volume, femurs)
    for femur in femurs:
        eligibility.check_hip(volume, femur)
    rules = time.process_time() - start
    start = time.process_time()
    screening = screen(paths, model)
    if isinstance(screening, Screening):
        build_outputs(screening, at=datetime.now(UTC))
    return rules, time.process_time() - start


def main() -> None:
    """Measure; print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=package.SHIPPED_DIR)
    parser.add_argument("--runs", type=int, default=5, help="screenings of each series")
    parser.add_argument("--passes", type=int, default=100, help="passes of the network")
    arguments = parser.parse_args()
    model = package.load(arguments.model)
    report: dict[str, Any] = {"model": model.info.name}
    report["networks"] = {name: bench_network(name, arguments.passes) for name in NETWORKS}
    report["series"] = {plane: bench_series(model, plane, arguments.runs) for plane in PLANES}
    for name, network in report["networks"].items():
        print(
            f"{name}: {network['parameters']:,} parameters, "
            f"forward {network['forward_ms']} ms, "
            f"with Grad-CAM {network['forward_and_grad_cam_ms']} ms"
        )
    for plane, series in report["series"].items():
        print(f"{plane}: {series['slices']} slices, {series['state']}, {series['total_ms']} ms")
        for step, spent in series["steps_ms"].items():
            print(f"  {step:14s} {spent:8.1f} ms")
        found = series["validation"]
        print(
            f"  rules {found['rules_cpu_ms']} of {found['screening_cpu_ms']} ms of CPU, "
            f"{found['share']:.1%}"
        )
    print(json.dumps(report))


if __name__ == "__main__":
    main()
