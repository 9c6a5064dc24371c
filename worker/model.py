"""The networks, by preset. Every layer is named, so that weights, Grad-CAM and the
out-of-distribution score find theirs by name.

A network takes (n, 250, 250, 1) float32, 0–255 (the windowed crop of
``worker.pipeline.crop``) and returns two outputs: ``LOGITS`` (n, 3), for the grades in
``GRADES`` order before temperature and softmax, and ``FEATURES`` (n, k), in which the
distance from the training data is measured. Grad-CAM looks at ``LAST_CONVOLUTION``.
"""

from collections.abc import Callable

import keras
from keras import layers

from worker.pipeline.crop import CROP_PX
from worker.pipeline.results import Grade

LAST_CONVOLUTION = "last_convolution"
FEATURES = "features"
LOGITS = "logits"

GRADES = tuple(Grade)
"""The order of logits and probabilities."""


def build(preset: str) -> keras.Model:
    """An untrained network. Raises ValueError for an unknown preset."""
    if preset not in PRESETS:
        raise ValueError(f"unknown network preset {preset!r}; known: {', '.join(PRESETS)}")
    return PRESETS[preset]()


def _compact() -> keras.Model:
    """A small residual network that reads density.

    Half resolution first (averaging keeps the mean attenuation while noise falls), strides
    early, one fixed scale and no normalization per image: attenuation in HU is the signal.
    The last maps are 16 × 16, one cell to 16 px of the crop.
    """
    crop = keras.Input((CROP_PX, CROP_PX, 1), name="crop")
    # 0–255 is −500–1500 HU: soft tissue (40 HU, 69) becomes 0, and 250 HU become 1.
    x = layers.Rescaling(1 / 32, offset=-69 / 32, name="rescaling")(crop)
    x = layers.AveragePooling2D(2, name="half_resolution")(x)
    x = _convolution(x, 16, kernel=5, strides=2, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    taps = [x]
    for index, (filters, strides) in enumerate(((32, 2), (64, 2), (96, 1)), start=1):
        x = _residual(x, filters, strides=strides, name=f"stage{index}")
        taps.append(x)
    x = layers.Conv2D(96, 1, activation="relu", name=LAST_CONVOLUTION)(x)
    pooled = layers.GlobalAveragePooling2D(name="pooled")(x)
    dropped = layers.Dropout(0.2, name="dropout")(pooled)
    logits = layers.Dense(len(GRADES), dtype="float32", name=LOGITS)(dropped)
    # Means of every stage, not only of the last: what the grade does not need (texture,
    # layout) is what tells a hip from something else.
    means = [
        layers.GlobalAveragePooling2D(name=f"stage{index}_mean")(tap)
        for index, tap in enumerate(taps)
    ]
    features = layers.Concatenate(dtype="float32", name=FEATURES)([*means, pooled])
    return keras.Model(crop, {LOGITS: logits, FEATURES: features}, name="compact")


def _residual(
    x: keras.KerasTensor, filters: int, *, strides: int, name: str
) -> keras.KerasTensor:
    """Two 3 × 3 convolutions beside an averaged, linearly mixed shortcut."""
    y = layers.ReLU(name=f"{name}_relu1")(
        _convolution(x, filters, kernel=3, strides=strides, name=f"{name}_conv1")
    )
    y = _convolution(y, filters, kernel=3, strides=1, name=f"{name}_conv2")
    if strides > 1:
        x = layers.AveragePooling2D(strides, padding="same", name=f"{name}_pool")(x)
    shortcut = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_shortcut")(x)
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([y, shortcut]))


def _convolution(
    x: keras.KerasTensor, filters: int, *, kernel: int, strides: int, name: str
) -> keras.KerasTensor:
    """Convolution with batch normalization (at inference a fixed affine map)."""
    x = layers.Conv2D(
        filters, kernel, strides=strides, padding="same", use_bias=False, name=name
    )(x)
    return layers.BatchNormalization(momentum=0.95, name=f"{name}_norm")(x)


PRESETS: dict[str, Callable[[], keras.Model]] = {"compact": _compact}
