"""Runs that start from the weights of a package.

Not covered: what fine-tuning gains (docs/training.md).
"""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.hips_factory import make_hips, small_preset
from training import presets
from training.fit.start import copy_weights, read_initial
from training.fit.train import INITIAL, fit
from worker.pipeline.model import package
from worker.pipeline.model.networks import build


def test_training_starts_from_the_given_weights(tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    given = build("paper-clinical")
    np.savez(tmp_path / INITIAL, **{each.path: each.numpy() for each in given.weights})
    still = presets.override(presets.load("paper-clinical"), ["learning_rate=0"])

    fitted = fit(make_hips(16, 1), make_hips(8, 2), small_preset(still, 1), tmp_path, 5)

    for expected, found in zip(given.get_weights(), fitted.network.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_weights_of_a_package_are_verified_and_copied(tmp_path: Path) -> None:
    initial = read_initial(package.SHIPPED_DIR, presets.load("osteoscreen"))
    copy_weights(package.SHIPPED_DIR, tmp_path)

    assert (initial.name, initial.version) == ("osteoscreen", "4.0")
    weights = package.SHIPPED_DIR / package.WEIGHTS
    assert (tmp_path / INITIAL).read_bytes() == weights.read_bytes()


def test_a_package_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match="network osteoscreen-femur, the preset paper-image"):
        read_initial(package.SHIPPED_DIR, presets.load("paper-image"))
