"""Plot of the finder's errors."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle

from tests.bench.finder_measure import HipOutcome, Outcome

WORN = ("osteoarthritis", "advanced-osteoarthritis")
SOUND, ARTHRITIC = "#0072b2", "#d55e00"
MEDIAN_MM, MOST_MM, PLANE_MM = 3.0, 8.0, 5.0


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write a PNG of three panels: errors of head centers, their directions, and planes."""
    mpl.use("Agg")
    groups = {
        ("joint space kept", SOUND): _accepted(outcomes, worn=False),
        ("joint space narrow or lost", ARTHRITIC): _accepted(outcomes, worn=True),
    }
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    for (label, color), hips in groups.items():
        errors = np.array([hip.center_mm for hip in hips]).reshape(-1, 3)
        distances = np.sort(np.linalg.norm(errors, axis=1))
        shares = np.arange(1, len(distances) + 1) / max(1, len(distances))
        left.step(distances, 100 * shares, color=color, label=f"{label} ({len(hips)})")
        middle.scatter(errors[:, 0], errors[:, 2], s=9, color=color, alpha=0.6, lw=0)
    planes = [
        [hip.plane_mm for hip in hips if hip.plane_mm is not None] for hips in groups.values()
    ]
    colors = [color for _, color in groups]
    right.hist(planes, np.arange(-12, 12.1, 1), color=colors, stacked=True)
    for limit, share in ((MEDIAN_MM, 50), (MOST_MM, 95)):
        left.plot([limit, limit, 0], [0, share, share], color="0.6", lw=0.8, ls="--")
    left.set(xlabel="head center, mm from the truth", ylabel="% of hips", ylim=(0, 101))
    left.set_xlim(0, 10.5)
    left.legend(loc="lower right", frameon=False)
    middle.add_patch(Circle((0, 0), MEDIAN_MM, fill=False, color="0.6", lw=0.8, ls="--"))
    middle.set(xlabel="outward, mm", ylabel="upward, mm", xlim=(-9, 9), ylim=(-9, 9))
    middle.set_aspect("equal")
    middle.set_xticks(range(-8, 9, 4))
    middle.set_yticks(range(-8, 9, 4))
    middle.set_title("head center, seen from the front", fontsize="medium")
    for limit in (-PLANE_MM, PLANE_MM):
        right.axvline(limit, color="0.6", lw=0.8, ls="--")
    right.set(xlabel="plane behind the middle of the neck, mm", ylabel="hips")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _accepted(outcomes: Sequence[Outcome], worn: bool) -> list[HipOutcome]:
    return [
        each
        for outcome in outcomes
        if any(tag in WORN for tag in outcome.tags) == worn
        for each in outcome.hips
        if each.center_mm is not None
    ]
