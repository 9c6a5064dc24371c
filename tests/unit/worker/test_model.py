"""Covered: shape, names and properties of the untrained networks."""

import keras
import numpy as np
import pytest

from worker.model import FEATURES, GRADES, LAST_CONVOLUTION, LOGITS, PRESETS, build
from worker.pipeline.results import Grade


@pytest.fixture(scope="module", params=PRESETS)
def network(request: pytest.FixtureRequest) -> keras.Model:
    keras.utils.set_random_seed(3)
    return build(request.param)


def test_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="compact"):
        build("paper")


def test_grades_are_in_order_of_severity() -> None:
    assert GRADES == (Grade.NORMAL, Grade.OSTEOPENIA, Grade.OSTEOPOROSIS)


def test_network_has_the_heads_that_others_look_up(network: keras.Model) -> None:
    assert network.input_shape == (None, 250, 250, 1)
    assert network.output[LOGITS].shape == (None, 3)
    assert network.output[FEATURES].shape[0] is None
    assert len(network.get_layer(LAST_CONVOLUTION).output.shape) == 4


def test_every_layer_with_weights_has_a_name_of_its_own(network: keras.Model) -> None:
    automatic = {"conv2d", "dense", "batch_normalization"}

    for layer in network.layers:
        assert layer.name.rstrip("_0123456789") not in automatic


def test_compact_network_stays_small() -> None:
    assert build("compact").count_params() < 500_000


def test_one_hu_more_everywhere_moves_the_logits() -> None:
    """Density is the signal: no layer may normalize the picture away."""
    keras.utils.set_random_seed(3)
    network = build("compact")
    crop = np.full((1, 250, 250, 1), 100, np.float32)

    denser = network(crop + 255 / 2000, training=False)[LOGITS].numpy()

    assert np.abs(denser - network(crop, training=False)[LOGITS].numpy()).max() > 1e-5
