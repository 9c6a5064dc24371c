"""``python -m tests.bench.femur_effect``: how much of a real hip's grade rests on its femur.

The effect on the log odds of osteoporosis of each real hip (coronal and axial slices of 3 mm),
each as a share that lies on the femur:

``whole``     femur replaced by soft tissue, against everything else replaced
``patches``   the same for each patch of 8 × 8 px, summed without sign
``gradients`` integrated gradients from soft tissue (Sundararajan, Taly and Yan, ICML 2017,
              arXiv:1703.01365), of every pixel, summed without sign

The femur is that of the finder with a rim of 4 mm, and where the folder has labels also that of
the labels. ``--whole-crop`` hides the finder's femur from a network that takes it, so that the
network is measured without its mask. Prints a table. The folder is that of
``tests.support.real_ct``.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.ndimage import binary_dilation

from tests.bench.real_ct import BOXES, CASES, Rendering
from tests.support.real_ct import ABSENT, FOLDER, HAS_REAL_CT, RealCt
from worker.pipeline import load
from worker.pipeline.crop import CROP_PX, crop_hip
from worker.pipeline.demographics import VALUES
from worker.pipeline.femur_shape import LIMIT_MM
from worker.pipeline.femurs.planes import cut_through
from worker.pipeline.model import package, weights
from worker.pipeline.model.networks import CROP, FEMUR_MM, LOGITS, PATIENT, build
from worker.pipeline.results import HipCrop
from worker.pipeline.select import find_femurs
from worker.pipeline.volume import Series, Side, Volume

Picture = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
LogOdds = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

SOFT_TISSUE = 69.0
"""40 HU in gray values of a crop."""
RIM_MM = 4.0
PATCH_PX = 8
PATH_STEPS = 24
RENDERINGS = (Rendering("coronal", 3), Rendering("axial", 3))


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares, 0–1, of the effect that lie on the femur."""

    whole: float
    patches: float
    gradients: float

    def cells(self) -> str:
        """Return the cells of the table."""
        return " | ".join(f"{s:.2f}" for s in (self.whole, self.patches, self.gradients))


def log_odds_of(model_dir: Path) -> LogOdds:
    """Return a function of (n, 250, 250) crops of right hips and one (250, 250) ``femur_mm``.

    It gives the (n,) log odds of osteoporosis by the crop alone.
    """
    network = build(package.verify(model_dir)["preset"])
    weights.set_weights(network, model_dir / package.WEIGHTS)

    @tf.function  # type: ignore[untyped-decorator]
    def log_odds(crops: tf.Tensor, femur_mm: tf.Tensor) -> tf.Tensor:
        count = tf.shape(crops)[0]
        every = {
            CROP: crops[..., tf.newaxis],
            PATIENT: tf.zeros((count, 2 * VALUES)),
            FEMUR_MM: tf.repeat(femur_mm[tf.newaxis, ..., tf.newaxis], count, axis=0),
        }
        inputs = {name: every[name] for name in network.input}
        logits = network(inputs, training=False)[LOGITS]
        return logits[:, 2] - tf.reduce_logsumexp(logits[:, :2], axis=1)

    return log_odds  # type: ignore[no-any-return]


def shares_of(log_odds: LogOdds, pixels: Picture, femur_mm: Picture, femur: Mask) -> Shares:
    """Return the shares on ``femur`` of one crop of a right hip."""

    def effect(changed: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """Return the (n,) changes where (n, 250, 250) pixels are replaced by soft tissue."""
        crops = np.where(changed, np.float32(SOFT_TISSUE), pixels)
        parts = [log_odds(tf.constant(part), tf.constant(femur_mm)) for part in chunks(crops)]
        return np.asarray(np.abs(np.concatenate(parts) - known))

    known = log_odds(tf.constant(pixels[None]), tf.constant(femur_mm))[0].numpy()
    patches = np.stack(list(every_patch()))
    on_femur, beside = (float(effect(patches & part).sum()) for part in (femur, ~femur))
    whole = effect(np.stack([femur, ~femur]))
    attributed = np.abs(integrated_gradients(log_odds, pixels, femur_mm))
    return Shares(
        whole=float(whole[0] / whole.sum()),
        patches=on_femur / (on_femur + beside),
        gradients=float(attributed[femur].sum() / attributed.sum()),
    )


def chunks(crops: Picture) -> Iterator[Picture]:
    """Yield at most 64 crops at a time."""
    for first in range(0, len(crops), 64):
        yield crops[first : first + 64]


def every_patch() -> Iterator[Mask]:
    """Yield the (250, 250) mask of each patch."""
    for row in range(0, CROP_PX, PATCH_PX):
        for column in range(0, CROP_PX, PATCH_PX):
            mask = np.zeros((CROP_PX, CROP_PX), bool)
            mask[row : row + PATCH_PX, column : column + PATCH_PX] = True
            yield mask


def integrated_gradients(log_odds: LogOdds, pixels: Picture, femur_mm: Picture) -> Picture:
    """Return the (250, 250) effect of each pixel, along the straight path from soft tissue."""
    along = (np.arange(PATH_STEPS, dtype=np.float32) + 0.5) / PATH_STEPS
    change = pixels - np.float32(SOFT_TISSUE)
    crops = tf.constant(SOFT_TISSUE + along[:, None, None] * change)
    with tf.GradientTape() as tape:
        tape.watch(crops)
        found = log_odds(crops, tf.constant(femur_mm))
    return np.asarray(tape.gradient(found, crops).numpy().mean(axis=0) * change)


def crops_of(ct: RealCt, case: str, how: Rendering) -> Iterator[tuple[Side, HipCrop]]:
    """Yield the crops of a volume's known hips."""
    low, high = ct.bounds_mm(case)
    with tempfile.TemporaryDirectory() as folder:
        paths = ct.series(case, Path(folder), *how.options(*BOXES.get(case, (low, high))))
        series = load.read_series(paths)
        assert isinstance(series, Series), series
        volume = load.read_volume(series)
        assert isinstance(volume, Volume), volume
    for femur in find_femurs(volume):
        if femur.side in ct.heads_mm(case):
            yield femur.side, crop_hip(cut_through(volume, femur), femur)


def as_right(picture: npt.NDArray[Any], side: Side) -> npt.NDArray[Any]:
    """Mirror the picture of a left hip."""
    return picture if side == "R" else np.ascontiguousarray(picture[:, ::-1])


def main() -> None:
    """Measure every real hip and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=package.SHIPPED_DIR)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--whole-crop", action="store_true")
    options = parser.parse_args()
    if not HAS_REAL_CT:
        print(ABSENT)
        return
    ct, log_odds = RealCt(FOLDER), log_odds_of(options.model)
    print("| hip | femur | whole | patches | gradients |\n|---|---|--:|--:|--:|")
    for case in options.cases:
        for how in RENDERINGS:
            for side, crop in crops_of(ct, case, how):
                pixels, femur_mm = (as_right(p, side) for p in (crop.pixels, crop.femur_mm))
                known = np.full_like(femur_mm, -LIMIT_MM) if options.whole_crop else femur_mm
                for name, femur in femurs_of(ct, case, side, crop):
                    shares = shares_of(log_odds, pixels, known, femur)
                    print(f"| {case} {side}, {how.name} | {name} | {shares.cells()} |")


def femurs_of(ct: RealCt, case: str, side: Side, crop: HipCrop) -> Iterator[tuple[str, Mask]]:
    """Yield the femur in the crop of a right hip, of the finder and of the labels."""
    yield "finder", as_right(crop.femur_mm <= RIM_MM, side)
    labeled = ct.femur_at(case, side, points_of(crop))
    if labeled is not None:
        rim_px = round(RIM_MM / crop.pixel_mm)
        yield "labels", as_right(binary_dilation(labeled, iterations=rim_px), side)


def points_of(crop: HipCrop) -> npt.NDArray[np.float64]:
    """Return the (250, 250, 3) centers of a crop's pixels, patient LPS mm."""
    corner, right, _, bottom = np.array(crop.corners_mm)
    share = (np.arange(CROP_PX) + 0.5)[:, None] / CROP_PX
    down, across = share * (bottom - corner), share * (right - corner)
    return np.asarray(corner + down[:, None] + across[None])


if __name__ == "__main__":
    main()
