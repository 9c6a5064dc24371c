"""Lumbar spine of simulated patients: levels, regions and attenuation against the truth.

``python -m tests.bench.spine --count 200 --seed 3`` renders series of random planes, slice
thicknesses, contrast phases and fields of view of patients with random variants of the spine
(four or six lumbar vertebrae, short last ribs, a sacralized vertebra, a compressed one), and
prints how often levels are right and regions lie in trabecular bone, and the error in HU.

``OUT/spine.json``  each volume
``OUT/spine.png``   attenuation measured against the true one
"""

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from training.progress import ProgressBars
from training.simulate.acquisition import Acquisition, sample_acquisition
from training.simulate.anatomy.lumbar_spine import Vertebra, vertebra_part, vertebrae
from training.simulate.geometry.shapes import Grid
from training.simulate.lumbar import SpineSubject, sample_spine_subject
from training.simulate.scanner import render_volume
from training.simulate.truth import truth as hip_truth
from worker.pipeline.femurs.grid import build_grid
from worker.pipeline.lumbar_results import Region
from worker.pipeline.reformat import canonical
from worker.pipeline.spine.measure import measure_spine_in

ROWS = 320
AXIAL_THICKNESS_MM = (2.0, 2.5, 3.0, 5.0)
# Cortex and what the point spread mixes into it.
CORTEX_MM = 1.0
ARTERIAL_HU = (200.0, 330.0)


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured vertebra. ``inside`` : whether its whole region is in trabecular bone."""

    level: str
    right_level: bool
    inside: bool
    hu: float
    true_hu: float


@dataclass(frozen=True, slots=True)
class Case:
    """One volume. ``countable`` : whether both signs, if in view, give the true levels.

    ``uncertain`` : vertebrae that were measured without a level, with their true ones.
    """

    number: int
    plane: str
    in_view: bool
    countable: bool
    text: str
    measured: tuple[Measured, ...]
    uncertain: tuple[Measured, ...] = ()


def draw(seed: int, number: int) -> tuple[SpineSubject, Acquisition]:
    """Return a random patient and scan."""
    rng = np.random.default_rng([seed, number])
    subject = sample_spine_subject(rng)
    if rng.random() < 0.15:
        body = replace(subject.body, contrast_hu=float(rng.uniform(*ARTERIAL_HU)))
        subject = replace(subject, body=body)
    view = rng.choice(("abdomen-pelvis", "abdomen", "pelvis"), p=(0.7, 0.15, 0.15))
    if rng.random() < 0.6:
        return subject, sample_acquisition(rng, subject, "coronal", view, rows=ROWS)
    thickness = float(rng.choice(AXIAL_THICKNESS_MM))
    return subject, sample_acquisition(
        rng, subject, "axial", view, rows=ROWS, thickness_mm=thickness
    )


def run(seed: int, number: int) -> Case:
    """Render and measure one volume."""
    return replace(measure(*draw(seed, number)), number=number)


def measure(subject: SpineSubject, acquisition: Acquisition) -> Case:
    """Render a series, measure its spine, and compare it with the truth."""
    grid = build_grid(canonical(render_volume(subject, acquisition)))
    # The worker has the femurs that it found; the finder is measured elsewhere.
    low, high = scan_heights(acquisition)
    heads = [hip.center_mm for hip in hip_truth(subject) if low < hip.center_mm[2] < high]
    spine = measure_spine_in(grid, heads)
    true = {vertebra.level: vertebra for vertebra in vertebrae(subject)}
    found = [(each.level, each.region) for each in spine.vertebrae]
    return Case(
        number=0,
        plane=acquisition.plane,
        in_view=_in_view(subject, acquisition),
        countable=subject.lumbar.countable,
        text=spine.text,
        measured=tuple(
            _compare(subject, acquisition, true.get(level), level, region)
            for level, region in found
            if isinstance(region, Region)
        ),
        uncertain=tuple(
            _compare(subject, acquisition, nearest, nearest.level, region)
            for region in (spine.uncertain.regions if spine.uncertain else ())
            for nearest in (_nearest(region, true.values()),)
        ),
    )


def _nearest(region: Region, spine: Iterable[Vertebra]) -> Vertebra:
    return min(spine, key=lambda one: math.dist(one.frame.origin, region.center_mm))


def scan_heights(acquisition: Acquisition) -> tuple[float, float]:
    """Return the lowest and highest z that the pictures show, mm."""
    low, high = acquisition.scan_mm
    if acquisition.plane == "axial":
        return low, high
    half, middle = acquisition.rows * acquisition.pixel_mm / 2, acquisition.center_mm[2]
    return max(low, middle - half), min(high, middle + half)


def _in_view(subject: SpineSubject, acquisition: Acquisition) -> bool:
    """Return whether the scan reaches from T12 to the wings of the sacrum."""
    spine = vertebrae(subject)
    low, high = scan_heights(acquisition)
    last_rib = spine[subject.lumbar.lumbar].frame.origin[2] + 20
    wings = spine[0].frame.origin[2] - 60 * subject.body.scale
    return bool(low < wings and last_rib < high)


def _compare(
    subject: SpineSubject,
    acquisition: Acquisition,
    vertebra: Vertebra | None,
    level: str,
    region: Region,
) -> Measured:
    grid, mask = _points(region)
    if vertebra is None:
        return Measured(level, False, False, region.mean_hu, np.nan)
    distance = np.broadcast_to(vertebra.body(vertebra.frame.local(grid)), mask.shape)[mask]
    hu = vertebra_part(subject, vertebra, acquisition.kvp).paint(grid, 0.6)[1]
    true_hu = np.broadcast_to(hu, mask.shape)[mask].mean() + acquisition.offset_hu
    return Measured(
        level=level,
        right_level=bool(np.median(distance) < 0),
        inside=bool(distance.max() < -CORTEX_MM),
        hu=region.mean_hu,
        true_hu=float(true_hu),
    )


def _points(region: Region) -> tuple[Grid, np.ndarray]:
    """Return an open grid around the slab of a region, and (z, y, x) which of it is inside."""
    (x, y, z), (left, behind) = region.center_mm, region.half_axes_mm
    xs, ys = np.linspace(-1, 1, 31), np.linspace(-1, 1, 21)
    zs = np.linspace(-2.5, 2.5, 5)
    inside = np.hypot(xs[None, :], ys[:, None]) <= 1
    grid = (
        (x + left * xs).astype(np.float32)[None, None, :],
        (y + behind * ys).astype(np.float32)[None, :, None],
        (z + zs).astype(np.float32)[:, None, None],
    )
    return grid, np.broadcast_to(inside, (5, 21, 31))


def table(cases: Sequence[Case]) -> str:
    """Return the figures in Markdown."""
    whole = [case for case in cases if case.countable and case.in_view]
    named = [case for case in whole if case.measured]
    right = [case for case in named if all(one.right_level for one in case.measured)]
    wrong = [case for case in cases if not all(one.right_level for one in case.measured)]
    regions = [one for case in cases for one in case.measured if one.right_level]
    errors = np.abs([one.hu - one.true_hu for one in regions])
    high, largest = np.quantile(errors, (0.99, 1.0))
    without = [one for case in cases for one in case.uncertain]
    thoracic = [one.level for one in without if one.level.startswith("T")]
    rows = [
        ("volumes", f"{len(cases)}"),
        ("usual spines from last rib to sacrum", f"{len(whole)}"),
        ("of them with certain levels", f"{len(named)}"),
        ("of these with the right levels", f"{len(right)}"),
        ("volumes with a wrong level that was called certain", f"{len(wrong)}"),
        ("regions", f"{len(regions)}"),
        ("regions in trabecular bone", f"{sum(one.inside for one in regions)}"),
        ("error of attenuation, median", f"{np.median(errors):.1f} HU"),
        ("error, 99th percentile and largest", f"{high:.1f} and {largest:.1f} HU"),
        ("regions without a level", f"{len(without)}"),
        ("of them in trabecular bone", f"{sum(one.inside for one in without)}"),
        ("of them in thoracic vertebrae", f"{len(thoracic)}"),
    ]
    return "\n".join(f"| {name} | {value} |" for name, value in rows)


def plot(cases: Sequence[Case], path: Path) -> None:
    """Write a PNG of measured against true attenuation, a dot a region."""
    figure = Figure(figsize=(5.0, 4.6), layout="constrained")
    axes = figure.subplots()
    for plane, color in (("coronal", "#0072b2"), ("axial", "#d55e00")):
        ones = [one for case in cases if case.plane == plane for one in case.measured]
        axes.scatter([one.true_hu for one in ones], [one.hu for one in ones], s=10,
                     color=color, alpha=0.6, lw=0, label=plane)  # fmt: skip
    axes.axline((100, 100), slope=1, color="0.5", lw=0.8)
    axes.set(xlabel="true attenuation of the region (HU)", ylabel="measured (HU)")
    axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("bench-output/spine"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    cases = []
    with ProgressBars() as bars, bars.step("volumes", arguments.count) as advance:
        for number in range(arguments.count):
            cases.append(run(arguments.seed, number))
            advance(1)
    entries = [asdict(case) for case in cases]
    (arguments.out / "spine.json").write_text(json.dumps(entries, indent=1) + "\n")
    plot(cases, arguments.out / "spine.png")
    print(table(cases))


if __name__ == "__main__":
    main()
