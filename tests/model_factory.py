"""Model packages for tests that need a real model but not a good one."""

from pathlib import Path

import keras

from worker import package
from worker.model import build
from worker.pipeline.classify import Familiarity

DESCRIPTION = package.Description(
    name="untrained",
    version="0",
    modality="image",
    preset="compact",
    training_data="none: untrained, for tests",
    simulated=True,
)


def make_untrained_package(model_dir: Path, familiarity: Familiarity | None = None) -> Path:
    """A loadable package: random weights from a fixed seed, which knows no strange crop
    unless ``familiarity`` is given."""
    keras.utils.set_random_seed(7)
    package.save(
        model_dir,
        build("compact"),
        DESCRIPTION,
        familiarity=familiarity,
        card="# Untrained, for tests\n",
    )
    return model_dir
