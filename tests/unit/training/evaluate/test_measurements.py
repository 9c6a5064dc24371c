"""Covered: attenuation against DXA, from a series to limits, Youden's limit, text and figure.

Not covered: the measurements themselves (tests/unit/worker/pipeline).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.spine_above_hips import L1_HU, write_spine_above_hips
from training.cohort import dataset
from training.cohort.assemble import assemble
from training.cohort.manifest import ManifestRow, find_files
from training.cohort.prepare import make_shard
from training.cohort.source import Source
from training.evaluate.end_to_end import SeriesJob, evaluate_series
from training.evaluate.hip_evaluation import HipEvaluation, write_hips
from training.evaluate.measurement_figure import save_figure
from training.evaluate.measurements import (
    measure_sites,
    measurement_lines,
    roc_of,
    samples_of,
)

# (L1 HU, T-score, whether the conditions hold) of one patient each. At most 110 HU: 2 of the 4
# with osteoporosis and 1 of the 6 others; at most 160 HU: 4 of 4 and 3 of 6.
PATIENTS = (
    (90.0, -3.0, True), (110.4, -2.5, True), (130.0, -2.8, False), (160.4, -3.5, False),
    (100.0, -2.4, True), (140.0, -1.5, True), (150.0, 0.0, False),
    (161.0, -1.0, True), (180.0, 0.5, False), (200.0, 1.0, True),
)  # fmt: skip


def hip(number: int, l1_hu: float, t_score: float, holds: bool) -> HipEvaluation:
    return HipEvaluation(
        f"P{number}", f"/ct/{number}", "R", "axial", t_score, 0,
        neck_hu=l1_hu - 40, lumbar_hu={"L1": l1_hu}, limits_hold=holds,
    )  # fmt: skip


def evaluations() -> list[HipEvaluation]:
    right = [hip(number, *values) for number, values in enumerate(PATIENTS)]
    # The left hip of the first patient: a better T-score of the same series.
    return [replace(right[0], side="L", t_score=-1.0, neck_hu=60.0), *right]


def test_published_limits_are_read_on_all_series_and_on_those_that_meet_the_conditions() -> (
    None
):
    sites = measure_sites(samples_of(evaluations()), np.random.default_rng(0), 50)

    assert list(sites) == ["L1", "neck"]
    specific, sensitive = sites["L1"]["limits"]
    assert (specific["limit_hu"], sensitive["limit_hu"]) == (110.0, 160.0)
    assert specific["all"]["values"] == 10
    assert specific["all"]["sensitivity"]["value"] == 0.5
    assert specific["all"]["specificity"]["value"] == pytest.approx(5 / 6, abs=1e-4)
    assert sensitive["all"]["sensitivity"] == {"value": 1.0, "low": 0.5101, "high": 1.0}
    assert sensitive["all"]["specificity"]["value"] == 0.5
    assert specific["conditions_met"]["values"] == 6
    assert specific["conditions_met"]["specificity"]["value"] == 0.75
    low, high = (specific["all"]["specificity"][end] for end in ("low", "high"))
    assert low < 5 / 6 < high


def test_a_series_counts_once_with_its_lowest_t_score_and_a_hip_by_itself() -> None:
    samples = samples_of(evaluations())

    assert (len(samples["L1"].hu), int(samples["L1"].positive.sum())) == (10, 4)
    assert (len(samples["neck"].hu), int(samples["neck"].positive.sum())) == (11, 4)
    assert measure_sites(samples, np.random.default_rng(0), 5)["neck"]["limits"] == []


def test_youdens_limit_is_that_of_the_largest_sum() -> None:
    sample = samples_of(evaluations())["L1"]
    limits = np.unique(np.rint(sample.hu))
    low = np.rint(sample.hu)[None] <= limits[:, None]
    sums = low[:, sample.positive].mean(axis=1) + (~low)[:, ~sample.positive].mean(axis=1)

    assert roc_of(sample)[1] == limits[sums.argmax()] == 130.0


def test_one_class_has_counts_and_no_best_limit(tmp_path: Path) -> None:
    normal = [one for one in evaluations() if one.t_score > -2.5]
    samples = samples_of(normal)
    sites = measure_sites(samples, np.random.default_rng(0), 5)

    assert (sites["L1"]["osteoporosis"], sites["L1"]["youden"]) == (0, None)
    assert sites["L1"]["auc"]["value"] is None
    assert sites["L1"]["limits"][0]["all"]["sensitivity"]["value"] is None
    assert not save_figure(tmp_path / "measurements.png", samples, sites)
    assert next(iter(measurement_lines(sites))).endswith("AUC –")


def test_nothing_measured_gives_no_site() -> None:
    bare = [replace(one, neck_hu=None, lumbar_hu={}) for one in evaluations()]

    assert measure_sites(samples_of(bare), np.random.default_rng(0), 5) == {}


def test_figure_lines_and_table_show_the_limits(tmp_path: Path) -> None:
    samples = samples_of(evaluations())
    sites = measure_sites(samples, np.random.default_rng(0), 50)

    assert save_figure(tmp_path / "measurements.png", samples, sites)
    assert np.asarray(Image.open(tmp_path / "measurements.png").convert("L")).std() > 5
    text = "\n".join(measurement_lines(sites))
    assert "L1 attenuation against DXA osteoporosis: 10 values of 10 patients, 4 with" in text
    assert "best limit (Youden) 130 HU" in text
    assert (
        "at most 110 HU (Pickhardt 2013, doi 10.7326/0003-4819-158-8-201304160-00003: more"
        in text
    )
    write_hips(tmp_path / "hips.csv", evaluations())
    header, first = (tmp_path / "hips.csv").read_text().splitlines()[:2]
    assert header.endswith("picture,l1_hu,l2_hu,l3_hu,l4_hu,limits_hold,neck_hu")
    assert first.endswith(",90.0,,,,True,60.0")


def test_prepare_and_evaluate_measure_the_same_in_a_series(tmp_path: Path) -> None:
    write_spine_above_hips(tmp_path)
    rows = [ManifestRow(1, tmp_path / "ct", "P1", -3.0, side="R")]

    make_shard(tmp_path / "shard.npz", (rows, find_files(tmp_path / "ct"), False))
    assemble([tmp_path / "shard.npz"], tmp_path, Source(True, "hash", 0))
    (record,) = dataset.load_records(tmp_path)
    (hip,) = evaluate_series(SeriesJob(rows, None, tmp_path / "cases"))

    assert hip.code == "NO_MODEL"
    assert record.l1_hu == pytest.approx(L1_HU, abs=5)
    assert record.neck_hu is not None
    found = [record.l1_hu, record.l2_hu, record.l3_hu, record.l4_hu, record.neck_hu]
    assert found == [round(hu, 1) for hu in (*hip.lumbar_hu.values(), hip.neck_hu or 0)]
    assert record.limits_hold is hip.limits_hold is True


def test_columns_of_a_table_that_says_no_are_read_as_no(tmp_path: Path) -> None:
    header = "patient,scan,side,t_score,l1_hu,limits_hold,neck_hu"
    lines = f"{header}\nP1,1.2,R,-3.0,104.2,False,\nP2,1.3,L,0.0,,,90.0\n"
    (tmp_path / dataset.TABLE).write_text(lines)

    first, second = dataset.load_records(tmp_path)

    assert (first.l1_hu, first.limits_hold, first.neck_hu) == (104.2, False, None)
    assert (second.l1_hu, second.limits_hold, second.neck_hu) == (None, None, 90.0)
