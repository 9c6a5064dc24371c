"""Published limits: their numbers, the conditions under which they hold, and the readings."""

from dataclasses import replace

import pytest

from worker.pipeline.lumbar_results import Conditions, NotMeasured, Vertebra
from worker.pipeline.spine.published_limits import LIMITS, limits_of
from worker.pipeline.spine.validity import read_limits

USUAL = Conditions(kvp=120.0, thickness_mm=3.0, kernel="soft", phase="portal")
L1 = Vertebra("L1", NotMeasured.OUT_OF_VIEW)


def test_numbers_are_those_of_the_source() -> None:
    """Pickhardt 2013, abstract: 160 HU or less 90 % sensitive, 110 HU > 90 % specific, L1."""
    found = {(one.level, one.limit_hu, one.meaning, one.kvp) for one in LIMITS}
    assert found == {
        ("L1", 160.0, "90 % sensitive", 120.0),
        ("L1", 110.0, "more than 90 % specific", 120.0),
    }
    assert {one.citation for one in LIMITS} == {
        "Pickhardt 2013, doi 10.7326/0003-4819-158-8-201304160-00003"
    }


@pytest.mark.parametrize(
    ("mean_hu", "expected"),
    [
        (104.2, ("L1 104 HU: ≤ 110 HU", "L1 104 HU: ≤ 160 HU")),
        (110.4, ("L1 110 HU: ≤ 110 HU", "L1 110 HU: ≤ 160 HU")),
        (110.6, ("L1 111 HU: > 110 HU", "L1 111 HU: ≤ 160 HU")),
        (160.6, ("L1 161 HU: > 110 HU", "L1 161 HU: > 160 HU")),
    ],
)
def test_readings(mean_hu: float, expected: tuple[str, str]) -> None:
    """What is printed is never on the other side of the limit than the printed value."""
    specific, sensitive = read_limits(L1, mean_hu, USUAL)
    assert (
        specific.reading == f"{expected[0]}, a limit more than 90 % specific for osteoporosis"
    )
    assert sensitive.reading == f"{expected[1]}, a limit 90 % sensitive for osteoporosis"
    assert specific.holds
    assert sensitive.holds


@pytest.mark.parametrize(
    ("change", "why_not"),
    [
        ({"kvp": 100.0}, "tube voltage 100 kV, 120 kV needed"),
        ({"kvp": None}, "tube voltage not stated, 120 kV needed"),
        ({"thickness_mm": 7.0}, "slice thickness 7.0 mm, 5 mm or less needed"),
        ({"thickness_mm": None}, "slice thickness not stated, 5 mm or less needed"),
        ({"kernel": "sharp"}, "sharp reconstruction kernel"),
        ({"phase": "arterial"}, "arterial phase"),
        ({"phase": "late", "kvp": 140.0}, "tube voltage 140 kV, 120 kV needed; late phase"),
    ],
)
def test_conditions_not_met(change: dict[str, object], why_not: str) -> None:
    for reading in read_limits(L1, 100.0, replace(USUAL, **change)):  # type: ignore[arg-type]
        assert reading.why_not == why_not
        assert not reading.holds


@pytest.mark.parametrize("phase", ["none", "portal", "unknown"])
def test_phases_in_which_the_limits_hold(phase: str) -> None:
    found = read_limits(L1, 100.0, replace(USUAL, phase=phase, kvp=121.0, thickness_mm=5.0))  # type: ignore[arg-type]
    assert all(reading.holds for reading in found)


@pytest.mark.parametrize("level", ["L2", "L3", "L4"])
def test_no_limit_for_levels_without_a_published_one(level: str) -> None:
    assert limits_of(level) == ()  # type: ignore[arg-type]
