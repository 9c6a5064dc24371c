"""Flow chart of inclusions and exclusions, as the paper's Fig. 1."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def draw_flow(flow: Mapping[str, Any], path: Path) -> None:
    """Draw boxes from manifest to hips, with the exclusions beside the arrows."""
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 10)
    boxes = [
        (8.9, f"{flow['series']} series of {flow['patients']} patients"),
        (5.0, f"{flow['series_left']} series of {flow['patients_left']} patients"),
        (1.1, "hips: " + ", ".join(f"{n} {grade}" for grade, n in flow["hips"].items())),
    ]
    for y, text in boxes:
        axes.text(0.2, y, text, va="center", bbox={"boxstyle": "square,pad=0.6", "fc": "white"})
    for (start, _), (end, _), name, excluded in (
        (boxes[0], boxes[1], "Excluded series", flow["series_excluded"]),
        (boxes[1], boxes[2], "Excluded single hips", flow["hips_excluded"]),
    ):
        axes.annotate(
            "", (1.6, end + 0.75), (1.6, start - 0.75), arrowprops={"arrowstyle": "->"}
        )
        reasons = "\n".join(f"{code}  {n}" for code, n in sorted(excluded.items())) or "none"
        text = f"{name}\n{reasons}"
        axes.text(5.4, (start + end) / 2, text, va="center", fontsize=8.5)
        axes.plot((1.6, 5.2), ((start + end) / 2,) * 2, color="0.5", lw=0.8)
    figure.savefig(path, dpi=120)
