"""Networks by preset.

A network takes ``CROP`` (n, 250, 250, 1) float32, 0–255 (the windowed crop of
``worker.pipeline.crop``), or ``PATIENT`` (n, 10) float32 (``Demographics.vector``), or both,
by name; ``osteoscreen-femur`` also ``FEMUR_MM`` (n, 250, 250, 1) float32, the distances of the
pixels from the finder's femur (``HipCrop.femur_mm``). It returns ``LOGITS`` (n, 3), for the
grades in ``GRADES`` order before temperature and softmax, and ``FEATURES`` (n, k), in which the
distance from the training data is measured; ``osteoscreen-femur`` also ``T_SCORE`` (n, 2) and
``FEMUR`` (n, 16, 16, 1), the logit of each cell of 16 × 16 px that it shows femur. Grad-CAM
uses the layer ``LAST_CONVOLUTION``.
Every layer is named, because weights, Grad-CAM and score refer to layers by name.
"""

from collections.abc import Callable, Sequence

import keras
from keras import layers, ops

from worker.pipeline.crop import CROP_PX
from worker.pipeline.demographics import VALUES
from worker.pipeline.grading import NORMAL_FROM_T_SCORE, OSTEOPOROSIS_TO_T_SCORE
from worker.pipeline.results import Grade

CROP = "crop"
PATIENT = "patient"
FEMUR_MM = "femur_mm"
LAST_CONVOLUTION = "last_convolution"
FEATURES = "features"
LOGITS = "logits"
T_SCORE = "t_score"
FEMUR = "femur"
FEMUR_CELL_PX = 16
RIM_MM = 4.0
EDGE_MM = 1.0

GRADES = tuple(Grade)
"""The order of logits and probabilities."""


def build(preset: str) -> keras.Model:
    """Build an untrained network. Raises ValueError for an unknown preset."""
    if preset not in PRESETS:
        raise ValueError(f"unknown network preset {preset!r}; known: {', '.join(PRESETS)}")
    return PRESETS[preset]()


def _crop() -> keras.KerasTensor:
    return keras.Input((CROP_PX, CROP_PX, 1), name=CROP)


def _patient() -> keras.KerasTensor:
    return keras.Input((2 * VALUES,), name=PATIENT)


def _paper_image() -> keras.Model:
    """Build the image model of Ha 2024.

    The paper does not state the places of batch normalization and dropout: here every block is
    convolution, ReLU, max-pooling, normalization, and dropout precedes each dense layer. Nor
    does it state the momentum of the moving means. They do not influence training, but with
    Keras' 0.99 they still depend on their initial values after 15 epochs of 60 steps.
    """
    crop = _crop()
    x, means = _paper_trunk(crop)
    return _classifier({CROP: crop}, x, means, name="paper-image")


def _paper_clinical() -> keras.Model:
    """Build two dense layers on sex, age, height, weight, BMI (Ha 2024; the sizes are ours)."""
    patient = _patient()
    x = _paper_clinical_features(patient)
    return _classifier({PATIENT: patient}, x, x, name="paper-clinical")


def _paper_multimodal() -> keras.Model:
    """Build two dense layers on image features (dense 64, 16) and clinical ones.

    Ha 2024; the sizes of the last two layers are ours.
    """
    crop, patient = _crop(), _patient()
    x, means = _paper_trunk(crop)
    for size in (64, 16):
        x = layers.Dense(size, activation="relu", name=f"image_dense_{size}")(x)
    x = layers.Concatenate(name="both")([x, _paper_clinical_features(patient)])
    for size in (32, 16):
        x = layers.Dense(size, activation="relu", name=f"both_dense_{size}")(x)
    return _classifier({CROP: crop, PATIENT: patient}, x, means, name="paper-multimodal")


def _paper_trunk(crop: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return the last dense layer of the image model, and the means of its last maps."""
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
    """Return two dense layers on the paper's five values; missing ones have the mean."""
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
    """Return a model with logits: calibration needs the values before softmax."""
    logits = layers.Dense(len(GRADES), dtype="float32", name=LOGITS)(x)
    features = layers.Activation("linear", dtype="float32", name=FEATURES)(features)
    return keras.Model(inputs, {LOGITS: logits, FEATURES: features}, name=name)


def _osteoscreen_femur() -> keras.Model:
    """Build the network that sees the finder's femur alone.

    Pixels beside the femur become soft tissue, and cells beside it have no weight.
    """
    crop, patient = _crop(), _patient()
    femur_mm = keras.Input((CROP_PX, CROP_PX, 1), name=FEMUR_MM)
    share = FemurShare(name="femur_share")(femur_mm)
    x, means = _compact_trunk(layers.Multiply(name="femur_only")([_units(crop), share]))
    maps = layers.Conv2D(96, 1, activation="relu", name="maps")(x)
    femur = layers.Conv2D(1, 1, dtype="float32", name=FEMUR)(x)
    cells = layers.AveragePooling2D(FEMUR_CELL_PX, padding="same", name="femur_cells")(share)
    pooled = FemurMaskedPooling(name=LAST_CONVOLUTION)([maps, femur, cells])
    outputs = _t_score_head(pooled, patient, means)
    return keras.Model(
        {CROP: crop, PATIENT: patient, FEMUR_MM: femur_mm},
        outputs | {FEMUR: femur},
        name="osteoscreen-femur",
    )


def _t_score_head(
    maps: keras.KerasTensor, patient: keras.KerasTensor, means: list[keras.KerasTensor]
) -> dict[str, keras.KerasTensor]:
    """Return logits and T-score from the mean of the maps and the patient's values."""
    seen = layers.GlobalAveragePooling2D(name="pooled")(maps)
    known = layers.Dense(32, activation="relu", name="patient_dense_1")(patient)
    known = layers.Dense(32, activation="relu", name="patient_dense_2")(known)
    x = layers.Concatenate(name="both")([layers.Dropout(0.2, name="dropout")(seen), known])
    x = layers.Dense(64, activation="relu", name="joint_dense")(x)
    posterior = layers.Dense(2, dtype="float32", name="posterior")(x)
    t_score = LogisticTScore(dtype="float32", name=T_SCORE)(posterior)
    logits = GradeLogits(dtype="float32", name=LOGITS)(t_score)
    features = layers.Concatenate(dtype="float32", name=FEATURES)([*means, seen])
    return {LOGITS: logits, FEATURES: features, T_SCORE: t_score}


class FemurMaskedPooling(layers.Layer):  # type: ignore[misc]
    """Mask of the maps by the femur, scaled to keep the mean over the femur.

    Input: maps (n, h, w, c), the logits of the femur (n, h, w, 1) and the share of the finder's
    femur in each cell (n, h, w, 1). Grade and Grad-CAM can depend on the femur only.
    """

    def call(self, given: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """The constant in the denominator keeps the maps near 0 where almost no femur is."""
        maps, logits, share = given
        femur = ops.cast(ops.sigmoid(logits), maps.dtype) * ops.cast(share, maps.dtype)
        return maps * femur / (ops.mean(femur, axis=(1, 2), keepdims=True) + 0.02)


class FemurShare(layers.Layer):  # type: ignore[misc]
    """Share of the femur, 0–1, from distances in mm: all on the bone, none 10 mm off.

    The rim holds the cortex where the finder's femur is a few mm off; real heads were found
    within 4 mm (0034).
    """

    def call(self, femur_mm: keras.KerasTensor) -> keras.KerasTensor:
        """Half at ``RIM_MM``."""
        return ops.sigmoid((RIM_MM - femur_mm) / EDGE_MM)


class LogisticTScore(layers.Layer):  # type: ignore[misc]
    """Middle and scale of a logistic distribution of the T-score from (n, 2) raw values.

    The untrained distribution is wide and centered on the grades, so that each has its share.
    """

    def call(self, raw: keras.KerasTensor) -> keras.KerasTensor:
        """Both in T-scores; the scale is at least 0.1, well below the scatter of DXA and HU."""
        middle = -1.75 + raw[:, :1]
        scale = 0.1 + ops.softplus(raw[:, 1:])
        return ops.concatenate([middle, scale], axis=-1)


class GradeLogits(layers.Layer):  # type: ignore[misc]
    """Logarithms (n, 3) of the distribution's mass between the WHO limits.

    The model of ordered grades with an underlying continuous variable (McCullagh, J R Stat
    Soc B 1980;42:109–142), with known instead of fitted limits.
    """

    def call(self, t_score: keras.KerasTensor) -> keras.KerasTensor:
        """Compute in logarithms, stable where a grade has almost no mass."""
        middle, scale = t_score[:, 0], t_score[:, 1]
        upper = (NORMAL_FROM_T_SCORE - middle) / scale
        lower = (OSTEOPOROSIS_TO_T_SCORE - middle) / scale
        # σ(u) − σ(l) = σ(u) · σ(−l) · (1 − exp(l − u))
        between = ops.log_sigmoid(upper) + ops.log_sigmoid(-lower)
        between += ops.log(-ops.expm1(lower - upper))
        return ops.stack([ops.log_sigmoid(-upper), between, ops.log_sigmoid(lower)], axis=-1)


def _compact() -> keras.Model:
    """Build the compact trunk with softmax logits: the first shipped model."""
    crop = _crop()
    x, means = _compact_trunk(_units(crop))
    maps = layers.Conv2D(96, 1, activation="relu", name=LAST_CONVOLUTION)(x)
    pooled = layers.GlobalAveragePooling2D(name="pooled")(maps)
    dropped = layers.Dropout(0.2, name="dropout")(pooled)
    logits = layers.Dense(len(GRADES), dtype="float32", name=LOGITS)(dropped)
    features = layers.Concatenate(dtype="float32", name=FEATURES)([*means, pooled])
    return keras.Model({CROP: crop}, {LOGITS: logits, FEATURES: features}, name="compact")


def _units(crop: keras.KerasTensor) -> keras.KerasTensor:
    """Return the crop in units of 250 HU: 0–255 is −500–1500 HU, soft tissue (40 HU) is 0."""
    return layers.Rescaling(1 / 32, offset=-69 / 32, name="rescaling")(crop)


def _compact_trunk(
    x: keras.KerasTensor,
) -> tuple[keras.KerasTensor, list[keras.KerasTensor]]:
    """Return a small residual network, and the means of its stages' maps.

    Strides come early, because the cortex is wider than a pixel. The scale is fixed and images
    are not normalized: attenuation in HU is the signal. The last maps are 16 × 16, one cell to
    16 px of the crop. The means of every stage are features, not only those of the last:
    texture and layout, which the grade does not need, distinguish a hip from other images.
    """
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
    """Return two 3 × 3 convolutions with an averaged, linearly mixed shortcut."""
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
    """Return a convolution with batch normalization (a fixed affine map at inference)."""
    x = layers.Conv2D(
        filters, kernel, strides=strides, padding="same", use_bias=False, name=name
    )(x)
    return layers.BatchNormalization(momentum=0.95, name=f"{name}_norm")(x)


PRESETS: dict[str, Callable[[], keras.Model]] = {
    "osteoscreen-femur": _osteoscreen_femur,
    "paper-image": _paper_image,
    "paper-clinical": _paper_clinical,
    "paper-multimodal": _paper_multimodal,
    "compact": _compact,
}
