"""Model packages for tests that need a real model but not a good one."""

from pathlib import Path

import keras

from worker import package
from worker.model import build

DESCRIPTION = package.Description(
    name="untrained",
    version="0",
    modality="image",
    preset="compact",
    training_data="none: untrained, for tests",
    simulated=True,
)


def make_untrained_package(model_dir: Path) -> Path:
    """A loadable package: random weights from a fixed seed, no out-of-distribution check."""
    keras.utils.set_random_seed(7)
    package.save(model_dir, build("compact"), DESCRIPTION, card="# Untrained, for tests\n")
    return model_dir
