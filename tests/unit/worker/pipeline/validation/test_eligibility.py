"""Covered: the rules of a sorted series, and the order of the rules of a hip.
Not covered: headers that cannot be sorted (test_images), metal and the field of view in detail
(test_metal, test_field_of_view)."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.ct_volume import AXIAL, CORONAL, SAGITTAL, ct_headers, sorted_series
from tests.support.hip_volume import LEFT, RIGHT, put, soft_tissue
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.statements import SIDE_WORDS
from worker.pipeline.validation import eligibility, images
from worker.pipeline.validation.rules import first_failure
from worker.pipeline.volume import Femur, PointMm, Series


def series(count: int = 12, **geometry_and_elements: object) -> Series:
    return sorted_series(ct_headers(count, **geometry_and_elements))  # type: ignore[arg-type]


def code_of(reason: Reason | None) -> ReasonCode | None:
    return None if reason is None else reason.code


@pytest.mark.parametrize("directions", [CORONAL, AXIAL])
def test_plain_series_is_eligible(directions: tuple[PointMm, PointMm]) -> None:
    assert first_failure(eligibility.check_series(series(directions=directions))) is None


def test_sagittal_is_rejected() -> None:
    reason = first_failure(eligibility.check_series(series(directions=SAGITTAL)))

    assert reason == Reason(
        ReasonCode.ORIENTATION, "Sagittal slices; coronal or axial are needed."
    )


@pytest.mark.parametrize(
    ("count", "accepted"), [(1, False), (7, False), (9, False), (10, True)]
)
def test_ten_slices_are_needed(count: int, accepted: bool) -> None:
    reason = first_failure(eligibility.check_series(series(count)))

    assert code_of(reason) is (None if accepted else ReasonCode.TOO_FEW_SLICES)
    if count == 7:
        assert reason is not None
        assert reason.text == "7 slices, at least 10 are needed."


@pytest.mark.parametrize(
    ("angle", "accepted"), [(0, True), (19, True), (21, False), (40, False)]
)
def test_oblique_by_more_than_twenty_degrees_is_rejected(angle: float, accepted: bool) -> None:
    turn = np.radians(angle)
    along = (float(np.cos(turn)), float(np.sin(turn)), 0.0)

    reason = first_failure(eligibility.check_series(series(directions=(along, (0, 0, -1)))))

    assert code_of(reason) is (None if accepted else ReasonCode.ORIENTATION)


def test_rotation_in_the_plane_counts_as_oblique() -> None:
    turn = np.radians(30)
    directions = (
        (float(np.cos(turn)), 0.0, float(np.sin(turn))),
        (float(np.sin(turn)), 0.0, -float(np.cos(turn))),
    )

    assert (
        code_of(first_failure(eligibility.check_series(series(directions=directions))))
        is ReasonCode.ORIENTATION
    )


def test_gantry_tilt_is_measured_from_positions() -> None:
    tilted = series(directions=AXIAL, step=(0.0, 1.0, 3.0))
    stated_only = series(directions=AXIAL, GantryDetectorTilt=18)

    reason = first_failure(eligibility.check_series(tilted))

    assert code_of(reason) is ReasonCode.ORIENTATION
    assert reason is not None
    assert "18°" in reason.text
    assert first_failure(eligibility.check_series(stated_only)) is None


def test_missing_slice_is_a_gap() -> None:
    headers = ct_headers(14)
    del headers[6]

    reason = first_failure(eligibility.check_series(sorted_series(headers)))

    assert code_of(reason) is ReasonCode.GAPS
    assert reason is not None
    assert "usually 3.0 mm apart, up to 6.0 mm" in reason.text


def test_two_images_at_one_position_are_rejected() -> None:
    headers = ct_headers(12)
    headers[4].ImagePositionPatient = headers[5].ImagePositionPatient

    assert (
        code_of(first_failure(eligibility.check_series(sorted_series(headers))))
        is ReasonCode.GAPS
    )


def test_rounded_positions_are_even_enough() -> None:
    headers = ct_headers(20, step=(0, 2.25, 0))
    for ds in headers:
        ds.ImagePositionPatient = [round(float(v), 1) for v in ds.ImagePositionPatient]

    assert first_failure(eligibility.check_series(sorted_series(headers))) is None


def test_slices_too_far_apart_are_rejected() -> None:
    reason = first_failure(eligibility.check_series(series(step=(0, 10.0, 0))))

    assert code_of(reason) is ReasonCode.GAPS
    assert reason is not None
    assert "10.0 mm apart" in reason.text


def test_hip_without_metal_inside_the_volume_is_accepted() -> None:
    assert first_failure(eligibility.check_hip(soft_tissue(), RIGHT)) is None


def test_metal_comes_before_the_field_of_view() -> None:
    volume = soft_tissue((-114, -80, -160))
    put(volume, RIGHT.center_mm, 16, 3071)

    assert code_of(first_failure(eligibility.check_hip(volume, RIGHT))) is ReasonCode.METAL
    assert code_of(
        first_failure(eligibility.check_hip(soft_tissue((-114, -80, -160)), RIGHT))
    ) is (ReasonCode.NO_FEMUR)


@pytest.mark.parametrize("with_metal", [(), (LEFT,), (RIGHT, LEFT)], ids=len)
@pytest.mark.covers("H3")
def test_metal_in_all_hips_comes_before_an_impossible_geometry(
    with_metal: tuple[Femur, ...],
) -> None:
    femurs = (replace(RIGHT, radius_mm=31.0), LEFT)
    volume = soft_tissue()
    for femur in with_metal:
        put(volume, femur.center_mm, 16, 3071)

    reason = first_failure(eligibility.check_femurs(volume, femurs))

    assert code_of(reason) is (ReasonCode.GAPS if len(with_metal) < 2 else None)


def test_metal_in_place_of_a_hip_comes_before_an_impossible_geometry() -> None:
    volume = soft_tissue()
    volume.hu[:, ::8] += 200  # changes from head to foot only
    stretched = first_failure(eligibility.check_femurs(volume, ()))
    put(volume, LEFT.center_mm, 20, 400)
    put(volume, LEFT.center_mm, 16, 3071)

    assert code_of(stretched) is ReasonCode.GAPS
    assert first_failure(eligibility.check_femurs(volume, ())) is None
    reasons = [first_failure(eligibility.missing_hip(volume, side, ())) for side in SIDE_WORDS]
    assert [code_of(one) for one in reasons] == [ReasonCode.NO_FEMUR, ReasonCode.METAL]


def test_side_without_femur_has_metal_or_no_femur() -> None:
    volume = soft_tissue()

    assert (
        code_of(first_failure(eligibility.missing_hip(volume, "R", ()))) is ReasonCode.NO_FEMUR
    )

    put(volume, LEFT.center_mm, 16, 3071)
    assert (
        code_of(first_failure(eligibility.missing_hip(volume, "L", (RIGHT,))))
        is ReasonCode.METAL
    )
    assert (
        code_of(first_failure(eligibility.missing_hip(volume, "R", ()))) is ReasonCode.NO_FEMUR
    )


def test_every_rule_gives_its_result_up_to_the_first_that_fails() -> None:
    tilted = series(directions=AXIAL, step=(0.0, 1.0, 3.0))

    checks = eligibility.check_series(tilted)

    assert [(one.rule, one.text) for one in checks] == [
        ("orientation", "Axial, oblique by 0.0°."),
        ("slices", "12 slices."),
        ("positions", "One image at each position."),
        ("acquisitions", "No acquisitions alternate."),
        ("gantry_tilt", "The slices are sheared by 18° (gantry tilt)."),
    ]
    assert [one.code for one in checks] == [None] * 4 + [ReasonCode.ORIENTATION]


def test_the_rules_of_a_series_have_names_of_their_own() -> None:
    """``checks`` and ``show`` find the requirement of a rule by its name."""
    names = [
        *images.IMAGES_RULES,
        *eligibility.SERIES_RULES,
        *eligibility.VOLUME_RULES,
        *eligibility.FEMURS_RULES,
    ]

    assert len(set(names)) == len(names)


def test_passed_rules_of_a_hip_state_their_measurements() -> None:
    found = {
        one.rule: one.text for one in eligibility.check_hip(soft_tissue(noise_hu=20), RIGHT)
    }

    assert list(found) == ["femur", "metal", "field_of_view", "noise"]
    assert found["femur"] == "Head of 23 mm radius, confidence 0.80."
    assert found["metal"] == (
        "Largest dense piece: 0.00 ml inside of head and neck, "
        "0.00 ml in the bone or at the joint."
    )
    assert found["field_of_view"] == (
        "In view: femoral head 100 %, femoral neck 100 %, trochanter 100 %, "
        "femoral shaft below the trochanter 100 %."
    )
    assert 15 < float(found["noise"].removeprefix("Noise of ").removesuffix(" HU.")) < 25


@pytest.mark.parametrize("age", ["064Y", "009Y"])
def test_age_is_in_no_text(age: str) -> None:
    checks = eligibility.check_series(series(PatientAge=age, PatientID="SECRET"))

    assert not any("64" in one.text or "9" in one.text for one in checks if one.rule == "age")
