"""Outputs of evaluate beside the grades: T-scores, pictures, gallery, features, baseline."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.evaluate.baseline import compare
from training.evaluate.cases import case_name, outputs_of, save_picture
from training.evaluate.gallery import error_order, write_gallery
from training.evaluate.hip_evaluation import (
    HipEvaluation,
    measure_t_scores,
    write_features,
    write_hips,
)
from worker.pipeline.demographics import Demographics
from worker.pipeline.model import package
from worker.pipeline.model.networks import GRADES
from worker.pipeline.results import GradedCrops

PATIENT = Demographics("F", 71.0, 1.58, 54.0)


def hip(expected: int, used: tuple[float, ...] | None, **changes: object) -> HipEvaluation:
    known: dict[str, object] = {
        "patient": "a", "series_dir": "ct/1", "side": "R", "orientation": "coronal",
        "t_score": -1.0, "image": used,
    }  # fmt: skip
    return HipEvaluation(expected=expected, used=used, **(known | changes))  # type: ignore[arg-type]


def test_outputs_are_those_of_the_worker_with_and_without_demographics() -> None:
    model, header = package.load(package.SHIPPED_DIR), package.verify(package.SHIPPED_DIR)
    rng = np.random.default_rng(3)
    pixels = rng.normal(90, 30, (2, 250, 250)).clip(0, 255).astype(np.float32)
    crops = GradedCrops(pixels, np.zeros_like(pixels), cosine=1.0)

    found = outputs_of(model, header | {"t_score_quantile": 2.0}, crops, "L", PATIENT)

    alone = model.classify(pixels, "L", crops.femur_mm)
    used = model.for_patient(PATIENT).classify(pixels, "L", crops.femur_mm)
    assert found.image == pytest.approx([alone.probabilities[grade] for grade in GRADES])
    assert found.used == pytest.approx([used.probabilities[grade] for grade in GRADES])
    assert found.t_score is not None
    middle, low, high = found.t_score
    expected = model.explain(pixels[..., ::-1], PATIENT.vector(), crops.femur_mm[..., ::-1])
    assert expected.t_score is not None
    assert middle == pytest.approx(float(expected.t_score[0]), abs=1e-4)
    assert (low, high) == pytest.approx(
        (middle - 2 * float(expected.t_score[1]), middle + 2 * float(expected.t_score[1])),
        abs=1e-4,
    )
    np.testing.assert_allclose(found.features, expected.features, rtol=1e-4, atol=1e-4)
    without = outputs_of(model, header, crops, "L", Demographics())
    assert without.used == without.image == found.image


def test_pictures_show_the_crop_and_the_crop_with_its_heat_map(tmp_path: Path) -> None:
    pixels = np.full((250, 250), 80.0, np.float32)
    heat = np.zeros((250, 250), np.float32)
    heat[:125] = 1.0

    save_picture(tmp_path / "cases" / "a.png", pixels, heat)

    image = np.asarray(Image.open(tmp_path / "cases" / "a.png")).astype(int)
    assert image.shape == (250, 500, 3)
    assert image[60, 60].tolist() == [128, 128, 128]
    hot, cold = image[60, 300], image[200, 300]
    assert hot[0] > cold[0] + 60  # inferno ends in a light yellow and starts in black
    assert cold.max() <= 128
    assert case_name("/data/P001/ct", "L") != case_name("/data/P001/ct", "R")
    assert "P001" not in case_name("/data/P001/ct", "L")


def test_the_gallery_begins_with_the_worst_and_most_confident_errors(tmp_path: Path) -> None:
    hips = [
        hip(0, (0.8, 0.1, 0.1), case="right.png"),
        hip(0, (0.3, 0.6, 0.1), case="near.png"),
        hip(0, (0.05, 0.05, 0.9), case="far.png", series_dir="<ct>",
            t_score_estimate=(-3.0, -4.0, -2.0)),
        hip(2, (0.1, 0.7, 0.2), case="nearer.png"),
        hip(1, None),
    ]  # fmt: skip

    assert [each.case for each in error_order(hips)] == ["far.png", "nearer.png", "near.png"]
    assert write_gallery(tmp_path / "errors.html", hips, tmp_path / "cases") == 3
    page = (tmp_path / "errors.html").read_text()
    assert "3 of 4 graded hips are wrong" in page
    assert page.index("cases/far.png") < page.index("cases/nearer.png")
    assert "estimate -3.0 (-4.0 to -2.0)" in page
    assert "&lt;ct&gt;" in page
    assert "right.png" not in page


def test_estimates_features_and_pictures_are_in_the_table(tmp_path: Path) -> None:
    hips = [
        hip(1, None, code="METAL", text="Metal."),
        hip(1, (0.1, 0.8, 0.1), case="x.png", t_score_estimate=(-1.5, -2.5, -0.5),
            features=np.arange(3, dtype=np.float32)),
        hip(1, (0.1, 0.8, 0.1), t_score=-3.0, t_score_estimate=(-2.0, -2.9, -1.1)),
    ]  # fmt: skip

    write_hips(tmp_path / "hips.csv", hips)
    write_features(tmp_path / "features.npz", hips)

    with (tmp_path / "hips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("t_score_estimate", "t_score_low", "t_score_high", "picture")
    assert [rows[1][name] for name in names] == ["-1.500", "-2.500", "-0.500", "x.png"]
    assert [rows[0][name] for name in names] == [""] * 4
    with np.load(tmp_path / "features.npz") as features:
        assert features["rows"].tolist() == [1]
        np.testing.assert_array_equal(features["features"], [[0, 1, 2]])
    assert measure_t_scores(hips) == {
        "hips": 2, "mean_error": 0.25, "mean_absolute_error": 0.75, "coverage": 0.5
    }  # fmt: skip


def test_the_baseline_is_measured_on_the_same_hips_with_paired_differences() -> None:
    right, wrong = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1)
    hips = [
        hip(0, right, patient=name, baseline_image=other, baseline_used=other)
        for name, other in (("a", wrong), ("b", wrong), ("c", right), ("d", right))
    ]

    found = compare([*hips, hip(0, None)], np.random.default_rng(0), resamples=30)

    assert found["used"]["hips"] == 4
    assert found["used"]["accuracy"]["value"] == 0.5
    assert found["used"]["difference"]["accuracy"]["value"] == 0.5
    assert compare([hip(0, None)], np.random.default_rng(0)) == {}
