"""Measures of the finder benchmark: view, distance of a plane from a neck, counts."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.bench import finder_measure, finder_table
from tests.bench.finder_measure import KnownHip, Outcome, beyond, measure, view_of
from training.simulate.truth import HipTruth
from worker.pipeline import select
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import Grade
from worker.pipeline.validation import eligibility
from worker.pipeline.validation.rules import to_check
from worker.pipeline.volume import Femur, Plane, Volume

HIP = HipTruth(
    side="L",
    center_mm=(90.0, 0.0, 0.0),
    radius_mm=23.0,
    neck_mm=(120.0, 5.0, -20.0),
    trochanter_mm=(138.0, 8.0, -30.0),
    intertrochanteric_mm=(138.0, 8.0, -48.0),
    shaft_direction=(0.0, 0.0, -1.0),
    neck_hu=100.0,
    t_score=-1.0,
    grade=Grade.NORMAL,
    metal=False,
)
KNOWN = KnownHip("L", HIP.center_mm, "whole", neck_mm=HIP.neck_mm)


def volume(right_mm: float = 0.0, left_mm: float = 200.0, top_mm: float = 60.0) -> Volume:
    """Return soft tissue in 2 mm voxels between two sagittal planes and below an axial one."""
    shape = (50, round((top_mm + 120) / 2), round((left_mm - right_mm) / 2))
    affine = np.array([[0, 0, 2, right_mm], [2, 0, 0, -50], [0, -2, 0, top_mm], [0, 0, 0, 1.0]])
    return Volume(np.full(shape, 40, np.int16), affine)


@pytest.mark.parametrize(
    ("cut_volume", "view"),
    [
        (volume(), "whole"),
        (volume(left_mm=150.0), "part"),
        (volume(left_mm=130.0), "absent"),
        (volume(top_mm=16.0), "part"),
        (volume(top_mm=8.0), "absent"),
    ],
)
def test_view_is_whole_with_both_trochanters_and_absent_with_half_a_head(
    cut_volume: Volume, view: str
) -> None:
    assert view_of(cut_volume, HIP) == view


def test_padding_is_not_in_view() -> None:
    padded = volume()
    padded.hu[:, 50:] = -1024

    assert view_of(padded, HIP) == "absent"


def test_plane_behind_the_neck_is_positive_also_where_it_is_turned() -> None:
    plane = Plane(0, np.zeros((2, 2), np.int16), (120.0, 8.0, 0.0), 1.0, 1.0, None)
    turn = np.radians(20.0)
    turned = replace(plane, column_direction=(float(np.cos(turn)), float(np.sin(turn)), 0.0))

    assert beyond(plane, HIP.neck_mm) == pytest.approx(3.0)
    assert beyond(turned, HIP.neck_mm) == pytest.approx(3.0 * np.cos(turn))


@pytest.fixture
def measure_femur(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Measure with a finder and rules that return given values."""

    def run(femur: Femur, known: KnownHip, reason: Reason | None = None) -> Outcome:
        monkeypatch.setattr(select, "find_femurs", lambda _: (femur,))
        result = to_check("rule", reason or "Kept.")
        monkeypatch.setattr(eligibility, "check_hip", lambda *_: (result,))
        return measure("case", ("group",), volume(), (known,))

    return run


FOUND = Femur("L", (92.0, 1.0, 2.0), 23.0, (121.0, 5.0, -20.0), 0.5)


def test_errors_are_outwards_back_and_up(measure_femur: Callable[..., Outcome]) -> None:
    (hip,) = measure_femur(FOUND, KNOWN).hips

    assert hip.accepted
    assert hip.center_mm == pytest.approx((2.0, 1.0, 2.0))
    assert hip.neck_mm == pytest.approx(1.0)


def test_other_side_is_a_swap_and_not_found(measure_femur: Callable[..., Outcome]) -> None:
    outcome = measure_femur(replace(FOUND, side="R"), KNOWN)

    assert outcome.swaps == ("L as R",)
    assert not outcome.hips[0].accepted


@pytest.mark.parametrize(
    "known",
    [
        replace(KNOWN, center_mm=(90.0, 0.0, 40.0)),
        replace(KNOWN, view="absent"),
        replace(KNOWN, metal=True),
    ],
    ids=["elsewhere", "cut off", "metal"],
)
def test_accepted_hip_that_may_not_be_graded_is_a_false_acceptance(
    measure_femur: Callable[..., Outcome], known: KnownHip
) -> None:
    assert len(measure_femur(FOUND, known).false_acceptances) == 1
    reason = Reason(ReasonCode.NO_FEMUR, "cut off")
    assert measure_femur(FOUND, known, reason).false_acceptances == ()


def test_partly_visible_hip_is_neither_found_nor_missed(
    measure_femur: Callable[..., Outcome],
) -> None:
    summary = finder_table.summarize([measure_femur(FOUND, replace(KNOWN, view="part"))])

    assert (summary.hips, summary.false_acceptances) == (0, 0)
    assert summary.center_mm == (3.0, 3.0, 3.0)


def test_rejected_hip_is_a_failure_with_its_reason(
    measure_femur: Callable[..., Outcome],
) -> None:
    outcome = measure_femur(FOUND, KNOWN, Reason(ReasonCode.METAL, "a nail"))

    assert finder_table.failures([outcome]) == ["case: missed L: METAL, a nail"]
    assert finder_table.summarize([outcome]).hips_found == 0
    assert outcome.hips[0].center_mm is None


def test_right_place_is_as_wide_as_documented() -> None:
    far = replace(FOUND, center_mm=(90.0, 0.0, finder_measure.RIGHT_PLACE_MM + 0.1))

    assert finder_measure.at_head([KNOWN], far) is None
    assert finder_measure.at_head([KNOWN], FOUND) is KNOWN
