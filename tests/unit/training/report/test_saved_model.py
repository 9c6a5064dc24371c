"""SavedModel of a package: the probabilities of the worker to 1e-5."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from training.report import saved_model
from worker.pipeline.crop import CROP_PX
from worker.pipeline.demographics import Demographics
from worker.pipeline.model import package
from worker.pipeline.model.networks import GRADES, build


def test_a_network_without_the_femur_has_no_input_for_it(tmp_path: Path) -> None:
    package.save(
        tmp_path / "model", build("compact"),
        package.Description("site", "1", "image", "compact", "one site", True),
        calibration=package.Calibration(1.3),
    )  # fmt: skip

    assert saved_model.export(tmp_path / "model", tmp_path / "saved") <= 1e-5

    signatures = tf.saved_model.load(str(tmp_path / "saved")).signatures
    names = {name: set(each.structured_input_signature[1]) for name, each in signatures.items()}
    assert names == {"serving_default": {"crop"}}


def test_the_saved_model_gives_the_probabilities_of_the_worker_or_is_refused(
    tmp_path: Path,
) -> None:
    largest = saved_model.export(package.SHIPPED_DIR, tmp_path / "saved")

    assert largest <= 1e-5
    model = package.load(package.SHIPPED_DIR)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    rng = np.random.default_rng(5)
    crops = rng.normal(90, 40, (3, CROP_PX, CROP_PX)).clip(0, 255).astype(np.float32)
    femurs = rng.uniform(-20, 40, crops.shape).astype(np.float32)
    pictures = {
        "crop": tf.constant(crops[..., np.newaxis]),
        "femur_mm": tf.constant(femurs[..., np.newaxis]),
    }
    alone = saved.signatures["serving_default"](**pictures)
    patient = Demographics("F", 71.0, 1.58, 54.0)
    vectors = tf.constant(np.repeat(patient.vector()[np.newaxis], 3, axis=0))
    both = saved.signatures["with_demographics"](**pictures, patient=vectors)
    for index, (crop, femur_mm) in enumerate(zip(crops, femurs, strict=True)):
        for found, asked in ((alone, model), (both, model.for_patient(patient))):
            shares = asked.classify(crop, "R", femur_mm).probabilities
            np.testing.assert_allclose(
                found["probabilities"][index], [shares[grade] for grade in GRADES], atol=1e-5
            )
    t_score = model.explain(crops[0], patient.vector(), femurs[0]).t_score
    np.testing.assert_allclose(both["t_score"][0], t_score, atol=1e-4)
    header = json.loads((tmp_path / "saved" / saved_model.HEADER).read_text())
    assert header["labels"] == [grade.value for grade in GRADES]

    other = tmp_path / "other"
    other.mkdir()
    for name in (package.WEIGHTS, package.OUT_OF_DISTRIBUTION):
        (other / name).write_bytes((package.SHIPPED_DIR / name).read_bytes())
    (other / package.HEADER).write_text(json.dumps(header | {"temperature": 1.5}))
    with pytest.raises(saved_model.ExportError, match="more than 1e-05; do not use it"):
        saved_model.check_parity(other, tmp_path / "saved")
