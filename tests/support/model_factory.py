"""Packages of untrained models, for tests that need a model but no accuracy."""

from pathlib import Path

import keras

from worker.pipeline.model import package
from worker.pipeline.model.classify import OutOfDistributionScore
from worker.pipeline.model.networks import build

DESCRIPTION = package.Description(
    name="untrained",
    version="0",
    modality="image",
    preset="compact",
    training_data="none: untrained, for tests",
    simulated=True,
)


def make_untrained_package(
    model_dir: Path, out_of_distribution: OutOfDistributionScore | None = None
) -> Path:
    """Write a loadable package with random weights from a fixed seed.

    The model accepts every crop unless ``out_of_distribution`` is given.
    """
    keras.utils.set_random_seed(7)
    package.save(
        model_dir,
        build("compact"),
        DESCRIPTION,
        calibration=package.Calibration(out_of_distribution=out_of_distribution),
        card="# Untrained, for tests\n",
    )
    return model_dir
