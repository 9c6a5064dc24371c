"""From files to a frozen result with the shipped model, and the contract of ``result.json``.

Covered: both hips, one hip, none, a model to which both are out of distribution. Not covered:
single steps (their own modules), servers (tests/integration).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from tests.support.ct_volume import write_ct
from tests.support.series import copy_series, simulate_small
from worker.pipeline.grading import worse_grade
from worker.pipeline.model.classify import ImageModel
from worker.pipeline.model.package import SHIPPED_DIR, load
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.result_json import to_json
from worker.pipeline.results import Rejected, Screening
from worker.pipeline.screen import screen

ENTRY = {
    "series_uid", "state", "reason", "orientation", "slice", "hips", "grade", "measurements",
    "spine", "model", "warnings", "checks", "timings_ms", "outputs",
}  # fmt: skip
HIP = {
    "side", "state", "reason", "center_mm", "neck_mm", "slice", "crop", "neck_hu",
    "neck_method", "probabilities", "grade", "checks",
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> ImageModel:
    loaded = load(SHIPPED_DIR)
    assert isinstance(loaded, ImageModel)
    return loaded


@pytest.fixture(scope="module")
def coronal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return simulate_small(tmp_path_factory.mktemp("coronal"), "coronal")


def test_both_hips_are_graded_and_the_worse_one_decides(
    model: ImageModel, coronal: tuple[Path, ...]
) -> None:
    screening = screen(coronal, model)

    assert isinstance(screening, Screening)
    assert [hip.side for hip in screening.hips] == ["R", "L"]
    grades = [hip.grade for hip in screening.hips if hip.grade]
    assert len(grades) == 2
    assert screening.grade is worse_grade(grades)
    for hip in screening.hips:
        assert hip.probabilities is not None
        assert sum(hip.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert hip.grade is max(hip.probabilities, key=hip.probabilities.__getitem__)


def test_a_series_of_which_instances_were_refused_is_rejected(
    model: ImageModel, coronal: tuple[Path, ...]
) -> None:
    one, many = (screen(coronal, model, refused=count) for count in (1, 17))

    assert isinstance(one, Rejected)
    assert isinstance(many, Rejected)
    assert one.reason == Reason(
        ReasonCode.GAPS, "1 instance was refused at reception and not sent again."
    )
    assert many.reason.text.startswith("17 instances were refused")
    checks = {check["rule"]: check["state"] for check in to_json(many)["checks"]}
    assert (checks["reception"], checks["pixels"]) == ("failed", "not_reached")


def test_entry_has_the_keys_of_the_contract(
    model: ImageModel, coronal: tuple[Path, ...]
) -> None:
    entry = to_json(screen(coronal, model))

    assert set(entry) == ENTRY
    assert [set(hip) for hip in entry["hips"]] == [HIP, HIP]
    assert set(entry["slice"]) == {"index", "image", "name", "source_sop_uid", "position_mm"}
    assert set(entry["model"]) == {"name", "version", "modality", "training_data", "simulated"}


def test_acquisition_outside_of_the_training_data_is_a_warning(
    model: ImageModel, coronal: tuple[Path, ...], tmp_path: Path
) -> None:
    def change(_: int, ds: Dataset) -> None:
        ds.KVP, ds.ConvolutionKernel = "70", "UNHEARD OF"

    entry = to_json(screen(copy_series(coronal, tmp_path / "copy", change), model))

    assert entry["state"] == "screened"
    assert entry["warnings"] == [
        "Tube voltage 70 kV: the model was trained on 80–140 kV.",
        "Reconstruction kernel: the model was trained on BONE, EDGE, SOFT, STANDARD.",
    ]


def test_series_like_those_of_the_training_data_has_no_warning(
    model: ImageModel, coronal: tuple[Path, ...]
) -> None:
    assert to_json(screen(coronal, model))["warnings"] == []


def test_air_is_rejected_before_femurs_are_searched(model: ImageModel, tmp_path: Path) -> None:
    air = np.random.default_rng(0).normal(-990, 15, (12, 128, 128)).astype(np.int16)

    rejected = screen(write_ct(tmp_path, air, spacing=(3.0, 3.0)), model)

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code == "NO_FEMUR"
    assert "no body" in rejected.reason.text
    assert "select" not in rejected.timings_ms


def test_metal_in_one_hip_leaves_the_other_gradable(model: ImageModel, tmp_path: Path) -> None:
    screening = screen(simulate_small(tmp_path, "coronal", condition="metal"), model)

    assert isinstance(screening, Screening)
    reasons = [hip.reason.code if hip.reason else None for hip in screening.hips]
    assert sorted(reasons, key=str) == ["METAL", None]
    assert screening.deciding_hip.reason is None


def test_hips_unlike_the_training_data_reject_the_series_and_keep_their_positions(
    model: ImageModel, coronal: tuple[Path, ...]
) -> None:
    assert model.out_of_distribution is not None
    strict = replace(model, out_of_distribution=replace(model.out_of_distribution, limit=0.0))

    rejected = screen(coronal, strict)

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code == "OUT_OF_DISTRIBUTION"
    entry = to_json(rejected)
    assert set(entry) == ENTRY
    assert [hip["state"] for hip in entry["hips"]] == ["not_assessable"] * 2
    assert all(hip["center_mm"] and not hip["probabilities"] for hip in entry["hips"])


def test_without_hips_every_side_has_its_reason(model: ImageModel, tmp_path: Path) -> None:
    rejected = screen(simulate_small(tmp_path, "coronal", view="abdomen"), model)

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code == "NO_FEMUR"
    assert [hip.side for hip in rejected.hips] == ["R", "L"]
    assert "right" in rejected.reason.text
    assert "left" in rejected.reason.text
    assert to_json(rejected)["warnings"] == list(rejected.warnings)
