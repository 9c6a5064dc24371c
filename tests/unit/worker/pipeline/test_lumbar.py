"""Measurements of the lumbar spine from files to ``result.json`` and ``study.json``."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.ct_volume import write_ct
from tests.support.spine_phantom import SpinePhantom, build_volume
from tests.support.spine_results import make_lumbar
from worker.cli.finished import Finished, line_of
from worker.pipeline.lumbar_json import first_measured, measurements_json, spine_json
from worker.pipeline.lumbar_results import LumbarMeasurements
from worker.pipeline.model.package import SHIPPED_DIR, load
from worker.pipeline.result_json import to_json
from worker.pipeline.results import MEASUREMENT, Rejected, Screening
from worker.pipeline.screen import screen
from worker.pipeline.spine import measure

KEYS = {
    "site", "side", "level_certain", "reason", "mean_hu", "sd_hu", "area_mm2", "center_mm",
    "outline_mm", "hu_120kvp", "limits",
}  # fmt: skip
HU = {"L1": 104.0, "L2": 130.0, "L3": 170.0, "L4": 210.0}
DISAGREE = (
    "The level of the vertebrae is uncertain: sacrum and last ribs give different levels."
)
NO_SACRUM = "The level of the vertebrae is uncertain: no sacrum was found."
CORONAL = (4.0, 1.8, 1.8)


def screened(folder: Path, phantom: SpinePhantom, **elements: Any) -> Screening | Rejected:
    """Screen a phantom without hips, written as a coronal series."""
    volume = build_volume(phantom)
    behind_mm, down_mm, left_mm = volume.spacing_mm
    paths = write_ct(
        folder,
        volume.hu,
        origin=tuple(volume.affine[:3, 3]),
        step=(0.0, behind_mm, 0.0),
        spacing=(down_mm, left_mm),
        **elements,
    )
    return screen(paths, load(SHIPPED_DIR))


@pytest.fixture(scope="module")
def without_hips(tmp_path_factory: pytest.TempPathFactory) -> Screening:
    """A series of 120 kV and the usual kernel."""
    folder = tmp_path_factory.mktemp("phantom")
    phantom = SpinePhantom(CORONAL, trabecular_hu=HU, dense=("L3",))
    result = screened(folder, phantom, KVP=120, SliceThickness=4, ConvolutionKernel="STANDARD")
    assert isinstance(result, Screening)
    return result


def test_series_without_hips_is_screened_without_a_grade(without_hips: Screening) -> None:
    assert without_hips.grade is None
    assert without_hips.model == MEASUREMENT
    assert [hip.reason and hip.reason.code for hip in without_hips.hips] == ["NO_FEMUR"] * 2
    entry = to_json(without_hips)
    assert (entry["state"], entry["reason"], entry["grade"]) == ("screened", None, None)
    assert entry["model"] is None
    assert entry["slice"] is None
    assert [hip["state"] for hip in entry["hips"]] == ["not_assessable"] * 2


def test_series_without_hips_has_its_spine_measured(without_hips: Screening) -> None:
    entry = to_json(without_hips)
    found = {one["site"]: one for one in entry["measurements"]}
    assert list(found) == ["L1", "L2", "L3", "L4"]
    assert all(set(one) == KEYS and one["level_certain"] for one in found.values())
    for level in ("L1", "L2", "L4"):
        assert found[level]["mean_hu"] == pytest.approx(HU[level], abs=5)
        assert found[level]["hu_120kvp"] == found[level]["mean_hu"]
        assert found[level]["reason"] is None
        assert len(found[level]["outline_mm"]) >= 9
    assert entry["spine"] == {
        "text": measure.AGREE, "kvp": 120.0, "thickness_mm": 4.0, "kernel": "soft",
        "phase": "unknown",
        "aorta_hu": None,
        "median_hu": pytest.approx(HU["L2"], abs=5),
        "uncertain": None,
    }  # fmt: skip
    assert "spine" in entry["timings_ms"]


def test_refused_vertebra_has_a_reason_and_no_value(without_hips: Screening) -> None:
    found = measurements_json(without_hips.lumbar)[2]
    assert found["reason"]["code"] == "DENSE"
    assert "cement" in found["reason"]["text"]
    assert found["mean_hu"] is None
    assert found["limits"] == []


def test_limits_are_read_at_l1(without_hips: Screening) -> None:
    first, second, *_ = measurements_json(without_hips.lumbar)
    value = round(first["mean_hu"])
    assert first["limits"] == [
        {
            "source": "Pickhardt 2013, doi 10.7326/0003-4819-158-8-201304160-00003",
            "reading": f"L1 {value} HU: ≤ {limit} HU, {words} for osteoporosis",
            "holds": True,
            "why_not": None,
        }
        for limit, words in (
            (110, "a limit more than 90 % specific"),
            (160, "a limit 90 % sensitive"),
        )
    ]
    assert second["limits"] == []


@pytest.mark.parametrize("kvp", [None, 100.0])
def test_no_value_of_120_kv_without_it(without_hips: Screening, kvp: float | None) -> None:
    lumbar = without_hips.lumbar
    assert lumbar is not None
    other = replace(lumbar, conditions=replace(lumbar.conditions, kvp=kvp))
    first = measurements_json(other)[0]
    assert first["hu_120kvp"] is None
    assert first["mean_hu"] == pytest.approx(HU["L1"], abs=5)


def test_lines_of_the_command(without_hips: Screening) -> None:
    entry = to_json(without_hips)
    value = round(entry["measurements"][0]["mean_hu"])
    spine = [line for line in line_of(Finished("1.2", entry)).split("\n") if "spine:" in line]
    assert spine[0].startswith(f"  spine: L1 {value} HU, L2 1")
    assert "L3 DENSE" in spine[0]
    assert spine[1].startswith(f"  spine: L1 {value} HU: ≤ 110 HU")
    assert "does not hold" not in spine[1]
    assert "screened  spine measured, no hip graded" in line_of(Finished("1.2", entry))


@pytest.mark.covers("H18")
def test_uncertain_level_is_measured_without_a_level_and_not_reported(tmp_path: Path) -> None:
    result = screened(tmp_path, SpinePhantom(CORONAL, trabecular_hu=HU, lumbar=4), KVP=120)
    assert isinstance(result, Rejected)
    assert result.reason.code == "NO_FEMUR"
    entry = to_json(result)
    assert entry["measurements"] == []
    assert entry["spine"]["text"] == DISAGREE
    assert entry["spine"]["median_hu"] is None
    found = entry["spine"]["uncertain"]
    assert found["code"] == "DISAGREE"
    assert found["median_hu"] == pytest.approx(HU["L2"], abs=5)
    assert found["median_hu"] == found["vertebrae"][1]["mean_hu"]
    for one, level in zip(found["vertebrae"], ("L1", "L2", "L3"), strict=True):
        assert one["mean_hu"] == pytest.approx(HU[level], abs=5)
        assert set(one) == {"mean_hu", "sd_hu", "area_mm2", "center_mm", "outline_mm"}
    text = (
        f"Lumbar spine, level uncertain: median {found['median_hu']:.0f} HU of 3 vertebrae "
        "(sacrum and last ribs give different levels); no published limit applies."
    )
    assert found["text"] == text
    assert f"\n  spine: {text}" in line_of(Finished("1.2", entry))
    assert "L1" not in str(entry)


def test_vertebrae_of_uncertain_levels_enter_no_statistics() -> None:
    """Drift, exports and training read levels and limits from these."""
    lumbar = make_lumbar(vertebrae=6)
    assert lumbar.uncertain is not None
    assert len(lumbar.regions) == 4
    assert (lumbar.measured, lumbar.measurements, lumbar.hu) == ((), (), {})
    assert (lumbar.median_hu, lumbar.limits_hold) == (None, None)


def test_chest_is_rejected_with_a_reason_and_says_why_no_spine_is_measured(
    tmp_path: Path,
) -> None:
    """From T10 to L1."""
    result = screened(tmp_path, SpinePhantom(CORONAL, lumbar=2, sacrum=False))
    assert isinstance(result, Rejected)
    assert result.reason.code == "NO_FEMUR"
    entry = to_json(result)
    assert entry["spine"]["text"] == NO_SACRUM
    assert entry["spine"]["uncertain"] is None
    assert f"\n  spine: {NO_SACRUM}" in line_of(Finished("1.2", entry))


def test_study_takes_the_first_series_with_measurements(without_hips: Screening) -> None:
    measured = without_hips.lumbar
    assert measured is not None
    empty = replace(measured, measurements=(), text=NO_SACRUM)
    uncertain = make_lumbar(vertebrae=6)
    cases: list[tuple[list[LumbarMeasurements | None], LumbarMeasurements | None]] = [
        ([None, empty, uncertain, measured], measured),
        ([None, empty, uncertain], uncertain),
        ([None, empty], empty),
        ([None], None),
    ]
    for found, expected in cases:
        assert first_measured(found) is expected
    assert measurements_json(None) == []
    assert spine_json(None) is None
