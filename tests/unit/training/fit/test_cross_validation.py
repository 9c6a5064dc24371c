"""Cross-validation and ensembles: every hip by a run that has not seen it; the test set locked.

Not covered: the performance of a model.
"""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.fit_run import PlainProgress
from tests.support.hips_factory import make_hips, small_preset, write_hips
from tests.support.model_factory import DESCRIPTION
from training import presets
from training.cohort import dataset
from training.evaluate import measures
from training.fit.cross_validation import ARRAYS, RESULT, TABLE, Plan, cross_validate
from training.fit.ensemble import joint_score, make_ensemble
from training.fit.run import MODEL, SUMMARY, Options
from training.fit.start import read_initial
from training.report.cross_validation import write_cross_validation
from training.report.package import make_package
from worker.pipeline.model import package
from worker.pipeline.model.classify import OutOfDistributionScore
from worker.pipeline.model.networks import build


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = measures.patient_draws
    monkeypatch.setattr(
        measures, "patient_draws", lambda patients, rng, n=0: draws(patients, rng, min(n, 10))
    )


def validate(folder: Path, preset: str, folds: int, repeats: int) -> dict[str, object]:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    if not (data / dataset.TABLE).exists():
        write_hips(data, make_hips(60, 4, hips_of_a_patient=2))
    with PlainProgress() as bars:
        return cross_validate(
            data, folder / "cv", Plan(small_preset(presets.load(preset), 1), folds, repeats),
            options=Options(), command="cv", progress=bars,
        )  # fmt: skip


def test_every_hip_is_predicted_once_a_repeat_and_no_test_hip(tmp_path: Path) -> None:
    result = validate(tmp_path, "paper-clinical", 3, 2)

    records = dataset.load_records(tmp_path / "data")
    wanted = [index for index, record in enumerate(records) if record.part != "test"]
    with np.load(tmp_path / "cv" / ARRAYS) as arrays:
        for repeat in (0, 1):
            assert sorted(arrays["hips"][arrays["repeats"] == repeat].tolist()) == wanted
        # The figures of all hips are those of the table's rows.
        expected = np.array([("normal", "osteopenia", "osteoporosis").index(
            records[i].grade.value) for i in arrays["hips"].tolist()])  # fmt: skip
        right = arrays["demographics"].argmax(axis=1) == expected
    pooled = result["out_of_fold"]["demographics"]  # type: ignore[index]
    assert pooled["accuracy"]["value"] == pytest.approx(right.mean(), abs=1e-4)
    assert pooled["hips"] == 2 * len(wanted)
    with (tmp_path / "cv" / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(wanted)
    assert {row["patient"] for row in rows} == {records[i].patient for i in wanted}
    page = write_cross_validation(tmp_path / "data", tmp_path / "cv", result).read_text()
    assert "2 times 3 folds" in page
    assert "Simulated CT" in page
    with pytest.raises(ValueError, match="takes no image"):
        ensemble(tmp_path)


def ensemble(folder: Path) -> dict[str, object]:
    with PlainProgress() as bars:
        return make_ensemble(
            folder / "data", folder / "cv", folder / "run", command="e", progress=bars,
            resamples=5,
        )  # fmt: skip


def write_members(folder: Path) -> list[Path]:
    """Write three untrained packages as the runs of a cross-validation of ``folder/data``."""
    data = folder / "data"
    data.mkdir()
    write_hips(data, make_hips(24, 4))
    runs = [folder / "cv" / f"fold-1-{number}" for number in (1, 2, 3)]
    summary = json.loads((package.SHIPPED_DIR / package.METRICS).read_text())
    preset = asdict(presets.load("osteoscreen"))
    summary["training"] |= {"preset": preset, "data_sha256": dataset.sha256(data)}
    summary["model"] |= {"temperatures": {"image": 1.0}, "parameters": 7}
    for number, run in enumerate(runs):
        keras.utils.set_random_seed(number)
        network = build("compact")
        wide = OutOfDistributionScore(
            np.full(304, 0.1 * number), np.eye(304)[:, : 4 + number], 2.0 + number
        )
        package.save(
            run / MODEL, network, DESCRIPTION,
            calibration=package.Calibration(0.5 + number, out_of_distribution=wide),
        )  # fmt: skip
        (run / SUMMARY).write_text(json.dumps(summary))
    (folder / "cv" / RESULT).write_text(
        json.dumps(
            {"model": "site", "runs": [run.name for run in runs], "folds": 3, "repeats": 1,
             "spread": {}, "data_sha256": dataset.sha256(data)}
        )
    )  # fmt: skip
    return [run / MODEL for run in runs]


def test_the_folds_become_one_package_that_the_worker_loads(tmp_path: Path) -> None:
    folders = write_members(tmp_path)
    summary = ensemble(tmp_path)

    make_package(tmp_path / "run", tmp_path / "model", None, "package", force=True)
    model, members = package.load(tmp_path / "model"), [package.load(f) for f in folders]
    hips = dataset.load(tmp_path / "data").part("test")
    pixels = hips.pixels[0].astype(np.float32)
    shares = [list(m.classify(pixels, "R").probabilities.values()) for m in members]
    found = list(model.classify(pixels, "R").probabilities.values())
    np.testing.assert_allclose(found, np.mean(shares, axis=0), atol=2e-6)
    scores = [m.out_of_distribution for m in members]
    distances = [s.distance(m.explain(pixels).features) for s, m in zip(scores, members)]  # type: ignore[union-attr]  # noqa: B905
    joint = model.out_of_distribution
    assert joint is not None
    np.testing.assert_allclose(
        joint.distance(model.explain(pixels).features),
        np.sqrt(np.mean(np.square(distances))),
        rtol=1e-5,
    )
    assert summary["training"]["hips"]["test"] == len(hips.records)  # type: ignore[index]
    card = (tmp_path / "model" / package.CARD).read_text()
    assert "Ensemble of the 3 runs of a cross-validation" in card
    with pytest.raises(ValueError, match="is an ensemble of 3 networks"):
        read_initial(tmp_path / "model", presets.load("osteoscreen"))


def test_a_fold_of_other_data_and_too_few_folds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--folds 2: at least 3 are needed"):
        validate(tmp_path, "paper-clinical", 2, 1)
    cv = tmp_path / "cv"
    cv.mkdir()
    (cv / RESULT).write_text(json.dumps({"data_sha256": "other", "runs": []}))

    with pytest.raises(ValueError, match="was made of other data"):
        ensemble(tmp_path)


def test_the_joint_distance_is_the_root_mean_square_of_the_members() -> None:
    rng = np.random.default_rng(0)
    scores = [
        OutOfDistributionScore(rng.normal(size=4), rng.normal(size=(4, 3)), limit)
        for limit in (3.0, 4.0)
    ]
    features = rng.normal(size=(5, 8))

    joint = joint_score(scores)

    apart = [scores[0].distance(features[:, :4]), scores[1].distance(features[:, 4:])]
    np.testing.assert_allclose(
        joint.distance(features), np.sqrt(np.mean(np.square(apart), axis=0))
    )
    assert joint.limit == pytest.approx(np.sqrt(12.5), abs=1e-4)
