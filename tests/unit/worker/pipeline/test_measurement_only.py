"""Screening without a model (``MODEL_DIR=none``): from files to result, SR and SC.

Covered: spine and hips, hips without a spine, spine and hips in two series, the texts. Not
covered: the measurements themselves (test_spine.py, test_neck.py), the record
(tests/integration/test_spine_path.py).
"""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.support.report_tree import items
from tests.support.series import simulate_small
from tests.support.spine_above_hips import L1_HU, write_spine_above_hips
from tests.support.spine_results import make_lumbar, make_spine_screening
from worker.pipeline.compose import NamedResult, compose, is_complete
from worker.pipeline.impression import impression
from worker.pipeline.measurement_only import no_model, nothing_to_report
from worker.pipeline.neck import NO_AXIS
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.result_json import to_json
from worker.pipeline.results import MEASUREMENT, NeckAttenuation, Rejected, Screening
from worker.pipeline.screen import screen
from worker.pipeline.statements import hip_sentence
from worker.screening.outputs import build_outputs

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NECK = NeckAttenuation(55.4, 20.1, 300.0, 2400.0, ())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Screening:
    result = screen(write_spine_above_hips(tmp_path_factory.mktemp("both")), None)
    assert isinstance(result, Screening)
    return result


@pytest.fixture(scope="module")
def hips_only(tmp_path_factory: pytest.TempPathFactory) -> Rejected:
    result = screen(simulate_small(tmp_path_factory.mktemp("hips"), "coronal"), None)
    assert isinstance(result, Rejected)
    return result


def test_spine_and_necks_are_measured_and_no_hip_is_graded(both: Screening) -> None:
    entry = to_json(both)

    assert both.model is MEASUREMENT
    assert (entry["state"], entry["grade"], entry["model"]) == ("screened", None, None)
    assert entry["measurements"][0]["mean_hu"] == pytest.approx(L1_HU, abs=5)
    for hip in entry["hips"]:
        assert hip["reason"]["code"] == "NO_MODEL"
        assert f"Femoral neck {hip['neck_hu']:.0f} ± " in hip["reason"]["text"]
        assert (hip["state"], hip["probabilities"]) == ("not_assessable", None)
        states = {check["rule"]: check["state"] for check in hip["checks"]}
        assert states["familiarity"] == "not_reached"
        assert set(states.values()) == {"passed", "not_reached"}


def test_report_and_picture_say_that_no_model_is_installed(both: Screening) -> None:
    built = build_outputs(both, at=AT)

    words = [str(one.TextValue) for one in items(built.sr) if one.ValueType == "TEXT"]
    assert impression(both) in words
    assert impression(both).endswith("hips not graded (no model is installed).")
    for side in ("Right", "Left"):
        assert any(
            re.match(rf"{side} hip: not graded\. No model is installed\. .* HU", one)
            for one in words
        )
    everything = " ".join(words) + built.sr.SeriesDescription + built.sc.SeriesDescription
    assert "emonstration" not in everything
    assert "DEMO" not in everything
    assert "field of view" not in everything
    assert built.overlay is None


def test_hips_without_a_spine_give_a_reason_that_states_the_necks(hips_only: Rejected) -> None:
    assert hips_only.reason.code is ReasonCode.NO_MODEL
    text = hips_only.reason.text
    assert text.startswith("No model is installed, and no lumbar vertebra is measured.")
    assert len(re.findall(r"(Right|Left) hip: femoral neck \d+ ± \d+ HU", text)) == 2
    assert hips_only.lumbar is not None
    assert hips_only.lumbar.text in text
    assert to_json(hips_only)["model"] is None


def test_hips_and_an_uncertain_spine_give_a_reason_that_states_both(
    hips_only: Rejected,
) -> None:
    reason = nothing_to_report(hips_only.hips, make_lumbar(vertebrae=6))
    assert reason.code is ReasonCode.NO_MODEL
    assert reason.text.startswith(
        "No model is installed. Lumbar spine, level uncertain: median 1"
    )
    assert len(re.findall(r"(Right|Left) hip: femoral neck \d+ ± \d+ HU", reason.text)) == 2


def test_a_neck_that_is_not_measured_says_why() -> None:
    assert no_model(NO_AXIS).text == (
        "No model is installed. Neck attenuation was not measured. "
        "The neck does not run in the plane."
    )


def test_one_series_with_all_measurements_ends_the_search(
    both: Screening, hips_only: Rejected
) -> None:
    spine = make_spine_screening()
    metal = Reason(ReasonCode.METAL, "Metal at the hip.")
    one_side = replace(both, hips=(replace(both.hips[0], reason=metal), both.hips[1]))

    assert is_complete([NamedResult("series 1", both)])
    assert is_complete([NamedResult("series 1", one_side)])
    assert not is_complete([NamedResult("series 1", spine)])
    assert not is_complete([NamedResult("series 1", spine), NamedResult("2", hips_only)])


def test_a_hip_of_another_series_is_not_said_to_be_out_of_view(hips_only: Rejected) -> None:
    spine = make_spine_screening()
    found = compose(
        [NamedResult("series 1, axial", spine), NamedResult("series 2, coronal", hips_only)]
    )

    assert found is not None
    assert found.lumbar is spine.lumbar
    for hip, shown in zip(found.hips, hips_only.hips, strict=True):
        assert hip.reason is not None
        assert hip.reason.code is ReasonCode.NO_MODEL
        assert hip.reason.text.endswith("no published limit is used (series 2, coronal).")
        assert (hip.neck, hip.series_instance_uid) == (shown.neck, shown.series_instance_uid)
        assert to_json(found)["hips"][0]["slice"] is None
    assert build_outputs(found, at=AT).sr.SeriesDescription.startswith("Lumbar spine")


def test_hips_that_no_series_shows_stay_out_of_view() -> None:
    spine = make_spine_screening()

    assert compose([NamedResult("1", spine), NamedResult("2", spine)]) == spine


def test_metal_and_a_missing_model_are_both_named(both: Screening) -> None:
    metal = Reason(ReasonCode.METAL, "Metal at the hip.")
    mixed = replace(both, hips=(replace(both.hips[0], reason=metal), both.hips[1]))

    assert impression(mixed).endswith(
        "hips not graded (right hip: metal; left hip: no model is installed)."
    )
    assert hip_sentence(mixed.hips[0]) == "Right hip: NOT ASSESSABLE. Metal at the hip."


def test_the_reason_of_a_series_leaves_out_a_hip_that_was_not_measured(both: Screening) -> None:
    assert both.lumbar is not None
    hips = (replace(both.hips[0], neck=NECK), replace(both.hips[1], neck=None))

    text = nothing_to_report(hips, both.lumbar).text

    assert "Right hip: femoral neck 55 ± 20 HU" in text
    assert "Left" not in text
