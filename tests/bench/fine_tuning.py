"""Fine-tuning of the shipped weights against training from scratch, on few patients.

``python -m tests.bench.fine_tuning --out bench-output/fine-tuning`` renders simulated patients
of a scanner that the shipped model knows only at its margin, trains on 20 to 200 of them from
the shipped weights and from random ones, and measures both on 400 other patients of that
scanner by the image alone. Finished runs are kept, so that the command can be continued.

``OUT/learning.json``  accuracy and macro AUC of each run
``OUT/learning.png``   learning curves

A run takes 2 to 3 minutes of processor time, so that this is not part of ``make bench``.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.fine_tuning_plot import draw
from training import presets
from training.cohort import dataset
from training.cohort.assemble import save_shard
from training.cohort.crops import Scan, cut_crop, record_of, sample_view
from training.cohort.dataset import Hips
from training.cohort.planes import outline_of, sample_found_femur
from training.cohort.split import split_by_patient
from training.evaluate.measures import accuracy, macro_auc
from training.fit.batches import labels
from training.fit.start import copy_weights
from training.fit.train import fit, predict
from training.simulate.acquisition import Acquisition
from training.simulate.cohort_plan import PlannedPatient, plan_cohort
from training.simulate.truth import truth
from worker.pipeline.model import package, weights
from worker.pipeline.model.classify import probabilities
from worker.pipeline.model.networks import build

SIZES = (20, 40, 50, 100, 200)
TEST_PATIENTS = 400
SITE_SEED = 2207
# An epoch has at least so many crops, few hips being repeated: 10 steps at every size, so that
# each run has the same budget of 200 steps.
EPOCHS, EPOCH_HIPS = 20, 160
# The rate of fine-tuning was set before any figure of the test patients was known.
RATES = {"fine-tuned": 3e-4, "from scratch": 1e-3}
NOISE = 1.5


def other_scanner(acquisition: Acquisition) -> Acquisition:
    """Return the acquisition as by a scanner of 80 kV, a sharp kernel and more noise.

    8 % of the training scans of the shipped model have 80 kV, and a sixth the sharp kernel.
    """
    noise = min(75.0, NOISE * acquisition.noise_hu)
    return replace(acquisition, kvp=80, kernel="sharp", noise_hu=noise, offset_hu=8.0)


def render_site(path: Path, patients: int) -> None:
    """Write one labeled hip of each patient of the site to a shard."""
    records, pixels, femurs, outlines = [], [], [], []
    for patient in plan_cohort(patients, SITE_SEED):
        scan = _scan(patient)
        cut = cut_crop(scan)
        mirrored = np.s_[:, ::-1] if scan.hip.side == "L" else np.s_[:, :]
        records.append(record_of(patient.number, 0, scan))
        pixels.append(cut.pixels[mirrored])
        femurs.append(cut.femur_mm[mirrored])
        outlines.append(outline_of(scan.subject, cut, scan.hip.side)[mirrored])
    save_shard(path, records, pixels, femurs, outlines)


def _scan(patient: PlannedPatient) -> Scan:
    subject = patient.subject
    rng = np.random.default_rng([SITE_SEED, 2, patient.number])
    hip = next(hip for hip in truth(subject) if hip.t_score == subject.t_score)
    while (drawn := sample_view(rng, subject, hip)).plane != "coronal":
        pass
    return Scan(subject, other_scanner(drawn), hip, sample_found_femur(rng, hip))


def split(hips: Hips, count: int, seed: int) -> tuple[Hips, Hips]:
    """Return training and validation hips of ``count`` patients, 80 and 20 %."""
    rng = np.random.default_rng([seed, count])
    chosen = hips.take(rng.permutation(len(hips.records))[:count])
    grades = [record.grade.value for record in chosen.records]
    parts = split_by_patient(chosen.patients, grades, rng, validation_share=0.2, test_share=0.0)
    return chosen.take(np.r_[parts.train, parts.test]), chosen.take(parts.validation)


def run(hips: tuple[Hips, Hips, Hips], way: str, run_dir: Path, seed: int) -> dict[str, Any]:
    """Train in one way and return the figures on the test hips."""
    train, validation, test = hips
    preset = presets.override(
        presets.load("osteoscreen").within(EPOCHS), ["batch=16", f"learning_rate={RATES[way]}"]
    )
    run_dir.mkdir(parents=True, exist_ok=True)
    if way == "fine-tuned":
        copy_weights(package.SHIPPED_DIR, run_dir)
    repeated = train.take(np.resize(np.arange(len(train.records)), EPOCH_HIPS))
    fitted = fit(repeated, validation, preset, run_dir, seed)
    return {"epochs": len(fitted.history), **figures(fitted.network, test)}


def figures(network: Any, test: Hips) -> dict[str, float]:
    """Return accuracy and macro AUC of a network by the image alone."""
    shares = probabilities(predict(network, test, with_patient=False).logits, 1.0)
    expected = labels(test)
    return {
        "accuracy": accuracy(shares, expected), "macro_auc": macro_auc(shares, expected)
    }  # fmt: skip


def measure(out: Path, seeds: int, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Run what is missing and return ``learning.json``."""
    hips = load_site(out)
    test = hips.take(np.arange(TEST_PATIENTS))
    pool = hips.take(np.arange(TEST_PATIENTS, len(hips.records)))
    path = out / "learning.json"
    found = json.loads(path.read_text()) if path.exists() else {"runs": {}}
    if "shipped" not in found:
        shipped = build("osteoscreen-femur")
        weights.set_weights(shipped, package.SHIPPED_DIR / package.WEIGHTS)
        found["shipped"] = figures(shipped, test)
    for count, seed, way in _plan(seeds):
        name = f"{way} {count} {seed}"
        if name not in found["runs"]:
            parts = (*split(pool, count, seed), test)
            result = run(parts, way, out / "runs" / name.replace(" ", "-"), seed)
            found["runs"][name] = {"way": way, "patients": count, "seed": seed, **result}
            report(f"{name}: {result}")
            path.write_text(json.dumps(found, indent=1) + "\n")
    return found


def _plan(seeds: int) -> Iterator[tuple[int, int, str]]:
    for seed in range(1, seeds + 1):
        for count in SIZES:
            for way in RATES:
                yield count, seed, way


def load_site(out: Path) -> Hips:
    """Return the hips of the site, rendered once."""
    path = out / "site.npz"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        render_site(path, TEST_PATIENTS + max(SIZES))
    with np.load(path, allow_pickle=False) as shard:
        records = tuple(dataset.Record(**one) for one in json.loads(str(shard["records"])))
        return Hips(records, shard["pixels"], shard["femurs"], shard["outlines"])


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-output/fine-tuning"))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    found = measure(arguments.out, arguments.seeds)
    draw(found, arguments.out / "learning.png")
    print(json.dumps(found["shipped"]))


if __name__ == "__main__":
    main()
