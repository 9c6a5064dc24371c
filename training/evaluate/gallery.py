"""Gallery of the errors of an evaluation: one page of pictures, the largest errors first."""

import html
from collections.abc import Sequence
from pathlib import Path

from training.evaluate.hip_evaluation import HipEvaluation
from worker.pipeline.model.networks import GRADES

MOST = 200
STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5rem; background: #fff; color: #111 }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(500px, 1fr)); gap: 1rem }
figure { margin: 0 } img { width: 100%; max-width: 500px }
figcaption { font-size: 12px; color: #333; overflow-wrap: anywhere }
"""


def error_order(hips: Sequence[HipEvaluation]) -> list[HipEvaluation]:
    """Return the wrongly graded hips: most grades apart first, then the most confident."""
    wrong = [hip for hip in hips if hip.used is not None and hip.predicted != hip.expected]
    return sorted(
        wrong,
        key=lambda hip: (abs((hip.predicted or 0) - hip.expected), max(hip.used or (0.0,))),
        reverse=True,
    )


def write_gallery(path: Path, hips: Sequence[HipEvaluation], pictures: Path) -> int:
    """Write the page of the errors; return their number.

    ``pictures`` : folder of the pictures, below that of the page.
    """
    errors = error_order(hips)
    graded = sum(hip.used is not None for hip in hips)
    shown = errors[:MOST]
    cut = "" if len(shown) == len(errors) else f" The first {MOST} are shown."
    figures = "\n".join(_figure(hip, pictures.name) for hip in shown)
    path.write_text(
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Errors</title>"
        f"<style>{STYLE}</style><h1>{len(errors)} of {graded} graded hips are wrong</h1>"
        f"<p>As the worker grades, most grades apart first, then the most confident.{cut} "
        "Left: the crop. Right: with Grad-CAM of the predicted grade (0.3 of the picture). The "
        "page names folders of series; it stays at the site.</p>"
        f"<main>{figures}</main></html>\n",
        encoding="utf-8",
    )
    return len(errors)


def _figure(hip: HipEvaluation, folder: str) -> str:
    predicted, expected = GRADES[hip.predicted or 0].value, GRADES[hip.expected].value
    estimate = ""
    if hip.t_score_estimate is not None:
        value, low, high = hip.t_score_estimate
        estimate = f", estimate {value:.1f} ({low:.1f} to {high:.1f})"
    caption = (
        f"<b>{predicted}</b> ({100 * max(hip.used or (0.0,)):.0f} %), DXA {expected}: "
        f"T {hip.t_score:.1f}{estimate}. {hip.side}, {hip.orientation}. "
        f"{html.escape(hip.series_dir)}"
    )
    return (
        f"<figure><img loading='lazy' alt='{predicted}, DXA {expected}' "
        f"src='{folder}/{hip.case}'><figcaption>{caption}</figcaption></figure>"
    )
