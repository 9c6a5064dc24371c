"""Charts are well-formed, escaped, and contain their numbers."""

from xml.etree.ElementTree import fromstring

import pytest

from worker.review.charts import (
    StackedBar,
    ValueRange,
    axis_limits,
    reliability_diagram,
    stacked_shares,
    value_ranges,
)


def test_shares_fill_the_bar() -> None:
    bars = [StackedBar("<b>", {"normal": 3, "osteopenia": 1})]

    chart = fromstring(stacked_shares(bars, {"normal": "a", "osteopenia": "b"}, "t & t"))  # noqa: S314

    assert chart.get("aria-label") == "t & t"
    rects = [(one.get("class"), float(one.get("height") or 0)) for one in chart.iter("rect")]
    assert [css for css, _ in rects] == ["a", "b"]
    assert rects[0][1] == pytest.approx(3 * rects[1][1], abs=0.3)
    assert next(one.text for one in chart.iter("title")) == "<b>, normal: 3 of 4"


def test_a_higher_value_stands_higher() -> None:
    values = [ValueRange("w1", 90, 100, 110), ValueRange("w2", 120, 130, 140)]

    chart = fromstring(value_ranges(values, axis_limits(values, step=20.0), "neck"))  # noqa: S314

    low, high = (float(dot.get("cy") or 0) for dot in chart.iter("circle"))
    assert high < low


def test_axis_limits_are_round_and_differ() -> None:
    assert axis_limits([ValueRange("w", 101, 105, 119)], step=20.0) == (100, 120)
    assert axis_limits([ValueRange("w", 100, 100, 100)], step=20.0) == (100, 120)


def test_perfect_calibration_lies_on_the_diagonal() -> None:
    points = [(1.0, ValueRange("all", 0.9, 1.0, 1.0))]

    chart = fromstring(reliability_diagram(points, "calibration"))  # noqa: S314

    dot = next(chart.iter("circle"))
    diagonal = next(one for one in chart.iter("line") if one.get("class") == "diagonal")
    assert (dot.get("cx"), dot.get("cy")) == (diagonal.get("x2"), diagonal.get("y2"))
