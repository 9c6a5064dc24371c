"""Covered: saving, loading and refusing packages.
Not covered: the shipped package (test_shipped_model)."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.model_factory import DESCRIPTION, make_untrained_package
from worker.pipeline.acquisition import Envelope
from worker.pipeline.model import package
from worker.pipeline.model.classify import OutOfDistributionScore
from worker.pipeline.model.networks import build


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_untrained_package(tmp_path_factory.mktemp("untrained"))


@pytest.fixture
def model_dir(untrained: Path, tmp_path: Path) -> Path:
    """A copy of the untrained package that a test may damage."""
    return Path(shutil.copytree(untrained, tmp_path / "model"))


def edit_header(model_dir: Path, **changes: object) -> None:
    path = model_dir / package.HEADER
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def update_checksum(model_dir: Path, name: str) -> None:
    header = json.loads((model_dir / package.HEADER).read_text())
    checksums = header["sha256"] | {name: package._sha256(model_dir / name)}
    edit_header(model_dir, sha256=checksums)


def test_loaded_model_has_the_saved_identity(untrained: Path) -> None:
    model = package.load(untrained)

    assert model.info.name == DESCRIPTION.name
    assert model.info.training_data == DESCRIPTION.training_data
    assert model.info.simulated is True
    assert model.info.sha256 == package._sha256(untrained / package.WEIGHTS)


def test_loaded_weights_are_the_saved_ones(tmp_path: Path) -> None:
    network = build("compact")
    pixels = np.random.default_rng(1).uniform(0, 255, (1, 250, 250, 1)).astype(np.float32)
    expected = network({"crop": pixels}, training=False)["logits"].numpy()[0]

    package.save(tmp_path, network, DESCRIPTION)

    explained = package.load(tmp_path).explain(pixels[0, :, :, 0])
    np.testing.assert_allclose(explained.logits, expected, rtol=1e-4, atol=1e-5)


def test_envelope_of_the_training_scans_is_kept(tmp_path: Path) -> None:
    envelope = Envelope(
        9, (100, 120), {"axial": (1, 5)}, {"axial": (1, 5)}, ("Br40d",), ("SIEMENS",), 1.0
    )

    package.save(
        tmp_path,
        build("compact"),
        DESCRIPTION,
        calibration=package.Calibration(envelope=envelope),
    )

    assert package.load(tmp_path).envelope == envelope


def test_package_from_before_envelopes_loads_without_one(model_dir: Path) -> None:
    header = json.loads((model_dir / package.HEADER).read_text())
    del header["acquisition"]
    (model_dir / package.HEADER).write_text(json.dumps(header))

    assert package.load(model_dir).envelope is None


@pytest.mark.parametrize("broken", [{}, {"scans": 3, "kvp": [80]}, "80 to 140 kV", [80, 140]])
def test_broken_envelope_is_refused(model_dir: Path, broken: object) -> None:
    edit_header(model_dir, acquisition=broken)

    with pytest.raises(package.ModelError, match="cannot be read"):
        package.load(model_dir)


@pytest.mark.parametrize("name", [package.WEIGHTS, package.OUT_OF_DISTRIBUTION])
@pytest.mark.covers("T6")
def test_altered_file_is_refused(tmp_path: Path, name: str) -> None:
    score = OutOfDistributionScore(np.zeros(3), np.eye(3), 1.0)
    package.save(
        tmp_path,
        build("compact"),
        DESCRIPTION,
        calibration=package.Calibration(out_of_distribution=score),
    )
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)

    with pytest.raises(package.ModelError, match=f"{name} was altered"):
        package.load(tmp_path)


def test_missing_weights_are_refused(model_dir: Path) -> None:
    (model_dir / package.WEIGHTS).unlink()

    with pytest.raises(package.ModelError, match="cannot be read"):
        package.load(model_dir)


def test_folder_without_a_package_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(package.ModelError, match="OSTEOSCREEN_MODEL_DIR"):
        package.load(tmp_path)


def test_header_that_is_not_json_is_refused(model_dir: Path) -> None:
    (model_dir / package.HEADER).write_text("{")

    with pytest.raises(package.ModelError, match="not JSON"):
        package.load(model_dir)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 1"),
        ({"preprocessing": package.PREPROCESSING | {"version": 99}}, "'version': 99"),
        ({"preprocessing": package.PREPROCESSING | {"window_width_hu": 400}}, "400"),
        ({"labels": ["osteoporosis", "osteopenia", "normal"]}, "grades"),
        ({"preset": "unheard-of"}, "unheard-of"),
        ({"temperature": "warm"}, "warm"),
        ({"sha256": {}}, "no checksum"),
    ],
)
def test_package_for_other_software_is_refused(
    model_dir: Path, changes: dict[str, object], message: str
) -> None:
    edit_header(model_dir, **changes)

    with pytest.raises(package.ModelError, match=message):
        package.load(model_dir)


@pytest.mark.parametrize("change", ["missing", "unknown", "other shape"])
def test_weights_of_another_network_are_refused(model_dir: Path, change: str) -> None:
    weights = model_dir / package.WEIGHTS
    arrays = dict(np.load(weights))
    kernel = arrays.pop("stem/kernel")
    if change == "unknown":
        arrays |= {"stem/kernel": kernel, "another/kernel": kernel}
    if change == "other shape":
        arrays["stem/kernel"] = kernel[:3]
    np.savez(weights, **arrays)
    update_checksum(model_dir, package.WEIGHTS)

    with pytest.raises(package.ModelError, match="another network"):
        package.load(model_dir)


def test_weights_that_are_no_archive_are_refused(model_dir: Path) -> None:
    (model_dir / package.WEIGHTS).write_bytes(b"PK\x03\x04 not quite")
    update_checksum(model_dir, package.WEIGHTS)

    with pytest.raises(package.ModelError, match="cannot be read"):
        package.load(model_dir)


@pytest.mark.parametrize("name", [package.WEIGHTS, package.OUT_OF_DISTRIBUTION])
@pytest.mark.covers("T6")
def test_pickled_arrays_are_refused(model_dir: Path, name: str) -> None:
    np.savez(model_dir / name, mean=np.array([{"not": "a number"}], dtype=object))
    update_checksum(model_dir, name)

    with pytest.raises(package.ModelError, match="cannot be read"):
        package.load(model_dir)


def test_half_written_package_does_not_load(model_dir: Path) -> None:
    (model_dir / package.HEADER).unlink()

    with pytest.raises(package.ModelError):
        package.load(model_dir)
