"""Draw ``docs/images/method.png``, the steps of the pipeline for one hip, and ``capture.png``.

``python -m docs.generate.pictures`` uses a simulated patient and the shipped model, 30 s.
"""

import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from PIL import Image

from training.simulate.acquisition import sample_acquisition
from training.simulate.series import write_series
from training.simulate.subject import sample_subject
from worker.pipeline.capture.result_picture import draw_result
from worker.pipeline.model import package
from worker.pipeline.crop import WINDOW_MAX_HU, WINDOW_MIN_HU
from worker.pipeline.validation.field_of_view import trochanter_of
from worker.pipeline.volume import Femur, Plane
from worker.pipeline.results import Hip, HipCrop, NeckAttenuation, Screening
from worker.pipeline.screen import screen

IMAGES = Path(__file__).parents[2] / "docs/images"
PICTURE, CAPTURE = IMAGES / "method.png", IMAGES / "capture.png"
SEED = 7
AXIS_MM = 90.0


def main() -> None:
    """Simulate a series, screen it and draw the steps."""
    mpl.use("Agg")
    rng = np.random.default_rng(SEED)
    subject = sample_subject(rng, grade="osteopenia", condition="none")
    acquisition = sample_acquisition(rng, subject, "coronal", "pelvis")
    with tempfile.TemporaryDirectory() as folder:
        paths = write_series(subject, acquisition, Path(folder))
        result = screen(paths, package.load(package.SHIPPED_DIR))
    if not isinstance(result, Screening):
        raise SystemExit(f"nothing to draw: {result.reason.text}")
    Image.fromarray(draw_result(result)).save(CAPTURE)
    hip = result.hips[0]
    figure, axes = plt.subplots(1, 4, figsize=(16, 4.3), dpi=80, layout="constrained")
    draw_femur(axes[0], hip)
    draw_crop(axes[1], hip)
    draw_heat_map(axes[2], hip)
    draw_neck(axes[3], hip)
    for number, ax in enumerate(axes, 1):
        title = ax.get_title()
        ax.set_title("")
        ax.set_title(f"{number}  {title}", loc="left", fontsize=12)
        ax.axis("off")
    figure.savefig(PICTURE)
    print(PICTURE)


def draw_femur(ax: Axes, hip: Hip) -> None:
    """Draw the plane with the femur that was found and the outline of the crop."""
    plane, femur, crop = _found(hip)
    show(ax, plane)
    head, neck = plane.to_index([femur.center_mm, femur.neck_mm])
    radius = femur.radius_mm / plane.column_spacing_mm
    ax.add_patch(Circle(head[::-1].tolist(), radius, fill=False, color="C1", lw=2))
    trochanter = plane.to_index(trochanter_of(femur))
    ax.plot(*np.array([head, trochanter]).T[::-1], "C1-", lw=2)
    down = trochanter_of(femur) + AXIS_MM / 2 * np.array(femur.shaft_direction)
    ax.plot(*np.array([trochanter, plane.to_index(down)]).T[::-1], "C1-", lw=2)
    ax.plot(*neck[::-1], "C1o")
    ax.plot(*plane.to_index([*crop.corners_mm, crop.corners_mm[0]]).T[::-1], "C0--", lw=1.5)
    ax.set_title("find: head, neck, shaft")


def draw_crop(ax: Axes, hip: Hip) -> None:
    """Draw the input of the model."""
    _, _, crop = _found(hip)
    ax.imshow(crop.pixels, cmap="gray", vmin=0, vmax=255)
    ax.set_title("crop: 250 × 250 px of 0.977 mm")


def draw_heat_map(ax: Axes, hip: Hip) -> None:
    """Draw the heat map over the input of the model (Ha 2024: 0.7 and 0.3)."""
    _, _, crop = _found(hip)
    if hip.heat_map is None or hip.grade is None or hip.probabilities is None:
        raise SystemExit("the hip was not graded")
    picture = np.repeat(crop.pixels[..., None] / 255, 3, axis=2)
    colors = mpl.colormaps["inferno"](hip.heat_map)[..., :3]
    ax.imshow(0.7 * picture + 0.3 * colors)
    ax.set_title(f"classify, explain: {hip.grade} {hip.probabilities[hip.grade]:.0%}")


def draw_neck(ax: Axes, hip: Hip) -> None:
    """Draw the region of the attenuation measurement."""
    plane, femur, _ = _found(hip)
    if not isinstance(hip.neck, NeckAttenuation):
        raise SystemExit("the neck was not measured")
    show(ax, plane)
    outline = plane.to_index([*hip.neck.outline_mm, hip.neck.outline_mm[0]])
    ax.plot(*outline.T[::-1], "C1-", lw=2)
    row, column = plane.to_index(femur.neck_mm)
    reach = 45 / plane.column_spacing_mm
    ax.set_xlim(column - reach, column + reach)
    ax.set_ylim(row + reach, row - reach)
    ax.set_title(f"measure: {hip.neck.mean_hu:.0f} ± {hip.neck.sd_hu:.0f} HU")


def show(ax: Axes, plane: Plane) -> None:
    """Show the plane in the window of Ha 2024."""
    ax.imshow(plane.hu, cmap="gray", vmin=WINDOW_MIN_HU, vmax=WINDOW_MAX_HU)


def _found(hip: Hip) -> tuple[Plane, Femur, HipCrop]:
    if hip.plane is None or hip.femur is None or hip.crop is None:
        raise SystemExit("the hip was not found")
    return hip.plane, hip.femur, hip.crop


if __name__ == "__main__":
    main()
