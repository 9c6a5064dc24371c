"""The networks, by preset. Every layer is named, so that weights, Grad-CAM and the
out-of-distribution score find theirs by name.

A network takes ``CROP`` (n, 250, 250, 1) float32, 0–255 (the windowed crop of
``worker.pipeline.crop``), or ``PATIENT`` (n, 10) float32 (``Demographics.vector``), or both,
by name. It returns ``LOGITS`` (n, 3), for the grades in ``GRADES`` order before temperature
and softmax, and ``FEATURES`` (n, k), in which the distance from the training data is
measured; ``osteoscreen`` also ``T_SCORE`` (n, 2) and ``FEMUR`` (n, 16, 16, 1), the logit of
each cell of 16 × 16 px that it shows femur. Grad-CAM looks at ``LAST_CONVOLUTION``.
"""

from collections.abc import Callable

import keras
from keras import layers, ops

from worker.pipeline.crop import CROP_PX
from worker.pipeline.demographics import VALUES
from worker.pipeline.grade import NORMAL_FROM_T_SCORE, OSTEOPOROSIS_TO_T_SCORE
from worker.pipeline.results import Grade

CROP = "crop"
PATIENT = "patient"
LAST_CONVOLUTION = "last_convolution"
FEATURES = "features"
LOGITS = "logits"
T_SCORE = "t_score"
FEMUR = "femur"
FEMUR_CELL_PX = 16

GRADES = tuple(Grade)
"""The order of logits and probabilities."""


def build(preset: str) -> keras.Model:
    """An untrained network. Raises ValueError for an unknown preset."""
    if preset not in PRESETS:
        raise ValueError(f"unknown network preset {preset!r}; known: {', '.join(PRESETS)}")
    return PRESETS[preset]()


def _crop() -> keras.KerasTensor:
    return keras.Input((CROP_PX, CROP_PX, 1), name=CROP)


def _patient() -> keras.KerasTensor:
    return keras.Input((2 * VALUES,), name=PATIENT)


def _paper_image() -> keras.Model:
    """The image model of Ha 2024. The paper does not say where batch normalization and dropout
    stand: here every block is convolution, ReLU, max-pooling, normalization, and dropout comes
    before each dense layer.

    Nor does it say over how many steps the moving means run: they have no part in training,
    but with Keras' 0.99 they still hold what they began with after 15 epochs of 60 steps.
    """
    crop = _crop()
    x, means = _paper_trunk(crop)
    return _classifier({CROP: crop}, x, means, name="paper-image")


def _paper_clinical() -> keras.Model:
    """Two dense layers on sex, age, height, weight, BMI (Ha 2024; the sizes are ours)."""
    patient = _patient()
    x = _paper_clinical_features(patient)
    return _classifier({PATIENT: patient}, x, x, name="paper-clinical")


def _paper_multimodal() -> keras.Model:
    """Image features (dense 64, 16) beside clinical ones, two dense layers (Ha 2024; the sizes
    of the last two are ours)."""
    crop, patient = _crop(), _patient()
    x, means = _paper_trunk(crop)
    for size in (64, 16):
        x = layers.Dense(size, activation="relu", name=f"image_dense_{size}")(x)
    x = layers.Concatenate(name="both")([x, _paper_clinical_features(patient)])
    for size in (32, 16):
        x = layers.Dense(size, activation="relu", name=f"both_dense_{size}")(x)
    return _classifier({CROP: crop, PATIENT: patient}, x, means, name="paper-multimodal")


def _paper_trunk(crop: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The last dense layer of the image model, and the means of its last maps."""
    x = layers.Rescaling(1 / 255, name="rescaling")(crop)
    *early, last = (16, 32, 64, 128, 256, 512)
    for index, filters in enumerate((*early, last), start=1):
        name = LAST_CONVOLUTION if filters == last else f"conv{index}"
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
        if filters == last:
            means = layers.GlobalAveragePooling2D(name="pooled")(x)
        x = layers.MaxPooling2D(2, name=f"pool{index}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm{index}")(x)
    x = layers.Flatten(name="flatten")(x)
    for size in (4096, 1024, 128):
        x = layers.Dropout(0.2, name=f"dropout_{size}")(x)
        x = layers.Dense(size, activation="relu", name=f"dense_{size}")(x)
    return x, means


def _paper_clinical_features(patient: keras.KerasTensor) -> keras.KerasTensor:
    """The paper's five values; where one is missing it has the mean."""
    x = patient[:, :VALUES]
    for size in (32, 16):
        x = layers.Dense(size, activation="relu", name=f"clinical_dense_{size}")(x)
    return x


def _classifier(
    inputs: dict[str, keras.KerasTensor],
    x: keras.KerasTensor,
    features: keras.KerasTensor,
    *,
    name: str,
) -> keras.Model:
    """A softmax layer's logits; calibration needs them before the softmax."""
    logits = layers.Dense(len(GRADES), dtype="float32", name=LOGITS)(x)
    features = layers.Activation("linear", dtype="float32", name=FEATURES)(features)
    return keras.Model(inputs, {LOGITS: logits, FEATURES: features}, name=name)


def _osteoscreen() -> keras.Model:
    """The compact trunk, the patient where there is one, and a T-score instead of classes."""
    crop, patient = _crop(), _patient()
    x, means = _compact_trunk(crop)
    maps = layers.Conv2D(96, 1, activation="relu", name="maps")(x)
    femur = layers.Conv2D(1, 1, dtype="float32", name=FEMUR)(x)
    seen = layers.GlobalAveragePooling2D(name="pooled")(
        OnFemur(name=LAST_CONVOLUTION)([maps, femur])
    )
    known = layers.Dense(32, activation="relu", name="patient_dense_1")(patient)
    known = layers.Dense(32, activation="relu", name="patient_dense_2")(known)
    x = layers.Concatenate(name="both")([layers.Dropout(0.2, name="dropout")(seen), known])
    x = layers.Dense(64, activation="relu", name="joint_dense")(x)
    posterior = layers.Dense(2, dtype="float32", name="posterior")(x)
    t_score = LogisticTScore(dtype="float32", name=T_SCORE)(posterior)
    logits = GradeLogits(dtype="float32", name=LOGITS)(t_score)
    features = layers.Concatenate(dtype="float32", name=FEATURES)([*means, seen])
    return keras.Model(
        {CROP: crop, PATIENT: patient},
        {LOGITS: logits, FEATURES: features, T_SCORE: t_score, FEMUR: femur},
        name="osteoscreen",
    )


class OnFemur(layers.Layer):  # type: ignore[misc]
    """Maps (n, h, w, c) and the femur's logits (n, h, w, 1) → the maps where femur is, scaled
    so that their mean over all cells is that over the femur.

    The grade can only come from there, and so can the Grad-CAM.
    """

    def call(self, both: tuple[keras.KerasTensor, keras.KerasTensor]) -> keras.KerasTensor:
        """Where next to nothing is femur, next to nothing comes through."""
        maps, logits = both
        femur = ops.cast(ops.sigmoid(logits), maps.dtype)
        return maps * femur / (ops.mean(femur, axis=(1, 2), keepdims=True) + 0.02)


class LogisticTScore(layers.Layer):  # type: ignore[misc]
    """(n, 2) raw values → middle and scale of a logistic distribution of the T-score.

    It begins in the middle of the grades and wide, so that every grade has its share.
    """

    def call(self, raw: keras.KerasTensor) -> keras.KerasTensor:
        """Both in T-scores; the scale is at least 0.1, well below DXA's and HU's scatter."""
        middle = -1.75 + raw[:, :1]
        scale = 0.1 + ops.softplus(raw[:, 1:])
        return ops.concatenate([middle, scale], axis=-1)


class GradeLogits(layers.Layer):  # type: ignore[misc]
    """The distribution's mass between the WHO limits, as logarithms (n, 3).

    The model of ordered grades with a continuous variable behind them (McCullagh, J R Stat
    Soc B 1980;42:109–142), with limits that are known instead of fitted.
    """

    def call(self, t_score: keras.KerasTensor) -> keras.KerasTensor:
        """Stable where a grade has next to no mass."""
        middle, scale = t_score[:, 0], t_score[:, 1]
        upper = (NORMAL_FROM_T_SCORE - middle) / scale
        lower = (OSTEOPOROSIS_TO_T_SCORE - middle) / scale
        # σ(u) − σ(l) = σ(u) · σ(−l) · (1 − exp(l − u))
        between = ops.log_sigmoid(upper) + ops.log_sigmoid(-lower)
        between += ops.log(-ops.expm1(lower - upper))
        return ops.stack([ops.log_sigmoid(-upper), between, ops.log_sigmoid(lower)], axis=-1)


def _compact() -> keras.Model:
    """The compact trunk under a softmax: the first shipped model."""
    crop = _crop()
    x, means = _compact_trunk(crop)
    maps = layers.Conv2D(96, 1, activation="relu", name=LAST_CONVOLUTION)(x)
    pooled = layers.GlobalAveragePooling2D(name="pooled")(maps)
    dropped = layers.Dropout(0.2, name="dropout")(pooled)
    logits = layers.Dense(len(GRADES), dtype="float32", name=LOGITS)(dropped)
    features = layers.Concatenate(dtype="float32", name=FEATURES)([*means, pooled])
    return keras.Model({CROP: crop}, {LOGITS: logits, FEATURES: features}, name="compact")


def _compact_trunk(
    crop: keras.KerasTensor,
) -> tuple[keras.KerasTensor, list[keras.KerasTensor]]:
    """A small residual network that reads density, and the means of its stages' maps.

    Strides early, for the cortex is wider than a pixel; one fixed scale and no normalization
    per image: attenuation in HU is the signal.
    The last maps are 16 × 16, one cell to 16 px of the crop. The means are of every stage, not
    only of the last: what the grade does not need (texture, layout) is what tells a hip from
    something else.
    """
    # 0–255 is −500–1500 HU: soft tissue (40 HU, 69) becomes 0, and 250 HU become 1.
    x = layers.Rescaling(1 / 32, offset=-69 / 32, name="rescaling")(crop)
    x = _convolution(x, 16, kernel=5, strides=2, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    taps = [x]
    for index, (filters, strides) in enumerate(((32, 2), (64, 2), (96, 2)), start=1):
        x = _residual(x, filters, strides=strides, name=f"stage{index}")
        taps.append(x)
    means = [
        layers.GlobalAveragePooling2D(name=f"stage{index}_mean")(tap)
        for index, tap in enumerate(taps)
    ]
    return x, means


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


PRESETS: dict[str, Callable[[], keras.Model]] = {
    "osteoscreen": _osteoscreen,
    "paper-image": _paper_image,
    "paper-clinical": _paper_clinical,
    "paper-multimodal": _paper_multimodal,
    "compact": _compact,
}
