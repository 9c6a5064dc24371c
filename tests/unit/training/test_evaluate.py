"""Covered: counts, reasons and figures of outcomes. The path itself: test_school."""

import numpy as np

from training.evaluate import HipOutcome, lines, summarize


def outcome(patient: str, expected: int, **changes: object) -> HipOutcome:
    known: dict[str, object] = {"orientation": "coronal", "side": "R", "t_score": -1.0}
    return HipOutcome(patient=patient, series_dir=patient, expected=expected, **known | changes)  # type: ignore[arg-type]


def test_counts_and_figures_by_plane() -> None:
    shares = (0.7, 0.2, 0.1)
    summary = summarize(
        [
            outcome("a", 0, image=shares, used=shares),
            outcome("a", 1, side="L", code="METAL", text="Metal."),
            outcome("b", 2, orientation="axial", image=shares, used=(0.1, 0.1, 0.8)),
            outcome("c", 1, code="NO_FEMUR", text="None."),
        ],
        np.random.default_rng(0),
    )

    assert (summary["series"], summary["patients"], summary["hips"]) == (3, 3, 4)
    assert summary["hips_graded"] == 2
    assert summary["reasons"] == {"METAL": 1, "NO_FEMUR": 1}
    assert summary["all"]["image"]["accuracy"]["value"] == 0.5
    assert summary["all"]["used"]["accuracy"]["value"] == 1.0
    assert summary["axial"]["image"]["accuracy"]["value"] == 0.0
    assert any("NO_FEMUR: 1" in line for line in lines(summary))


def test_nothing_graded_is_no_figure() -> None:
    summary = summarize([outcome("a", 0, code="GAPS", text="")], np.random.default_rng(0))

    assert summary["hips_graded"] == 0
    assert "all" not in summary
    assert lines(summary)[0].endswith("0 of 1 hips graded")
