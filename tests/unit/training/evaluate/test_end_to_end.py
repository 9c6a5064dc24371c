"""Summary of an end-to-end evaluation: counts, reasons and figures.

Not covered: screening itself (tests/integration/test_training_end_to_end.py).
"""

import numpy as np

from training.evaluate.end_to_end import HipEvaluation, summarize, summary_lines


def evaluation(patient: str, expected: int, **changes: object) -> HipEvaluation:
    known: dict[str, object] = {"orientation": "coronal", "side": "R", "t_score": -1.0}
    fields = known | changes
    return HipEvaluation(patient=patient, series_dir=patient, expected=expected, **fields)  # type: ignore[arg-type]


def test_counts_and_figures_by_plane() -> None:
    shares = (0.7, 0.2, 0.1)
    summary = summarize(
        [
            evaluation("a", 0, image=shares, used=shares),
            evaluation("a", 1, side="L", code="METAL", text="Metal."),
            evaluation("b", 2, orientation="axial", image=shares, used=(0.1, 0.1, 0.8)),
            evaluation("c", 1, code="NO_FEMUR", text="None."),
        ],
        np.random.default_rng(0),
        resamples=20,
    )

    assert (summary["series"], summary["patients"], summary["hips"]) == (3, 3, 4)
    assert summary["hips_graded"] == 2
    assert summary["reasons"] == {"METAL": 1, "NO_FEMUR": 1}
    accuracy = {
        (plane, variant): summary[plane][variant]["accuracy"]["value"]
        for plane in ("all", "coronal", "axial")
        for variant in ("image", "used")
    }
    assert accuracy == {
        ("all", "image"): 0.5,
        ("all", "used"): 1.0,
        ("coronal", "image"): 1.0,
        ("coronal", "used"): 1.0,
        ("axial", "image"): 0.0,
        ("axial", "used"): 1.0,
    }
    lines = summary_lines(summary)
    assert lines[0] == "3 series of 3 patients: 2 of 4 hips graded"
    assert lines[1:3] == ["  not graded, METAL: 1", "  not graded, NO_FEMUR: 1"]
    assert lines[3].endswith("is not recorded; see --run")
    assert lines[4].startswith("all, image alone: accuracy 0.500 (")


def test_patients_of_the_training_are_counted_and_left_out_of_new() -> None:
    shares = (0.7, 0.2, 0.1)
    parts = {"a": "train", "b": "validation", "c": "test"}
    summary = summarize(
        [evaluation(patient, 0, image=shares, used=shares) for patient in "abcd"],
        np.random.default_rng(0),
        resamples=20,
        parts=parts,
    )

    assert summary["overlap"] == 2
    assert (summary["all"]["used"]["hips"], summary["new"]["used"]["hips"]) == (4, 2)
    assert "2 of 4 patients were used to train" in summary_lines(summary)[1]


def test_evaluation_without_graded_hips_has_no_figures() -> None:
    summary = summarize([evaluation("a", 0, code="GAPS", text="")], np.random.default_rng(0))

    assert summary == {
        "series": 1,
        "patients": 1,
        "hips": 1,
        "hips_graded": 0,
        "reasons": {"GAPS": 1},
        "overlap": None,
    }
    assert summary_lines(summary)[0].endswith("0 of 1 hips graded")
