"""Charts are well-formed, escaped, and tell their numbers."""

from xml.etree.ElementTree import fromstring

from worker.review.charts import Column, Span, limits_of, ranges, reliability, shares


def test_shares_fill_the_bar() -> None:
    columns = [Column("<b>", {"normal": 3, "osteopenia": 1})]

    chart = fromstring(shares(columns, {"normal": "a", "osteopenia": "b"}, "t & t"))  # noqa: S314

    assert chart.get("aria-label") == "t & t"
    bars = [(bar.get("class"), float(bar.get("height") or 0)) for bar in chart.iter("rect")]
    assert [css for css, _ in bars] == ["a", "b"]
    assert abs(bars[0][1] - 3 * bars[1][1]) < 0.3
    assert next(one.text for one in chart.iter("title")) == "<b>, normal: 3 of 4"


def test_a_higher_value_stands_higher() -> None:
    spans = [Span("w1", 90, 100, 110), Span("w2", 120, 130, 140)]

    chart = fromstring(ranges(spans, limits_of(spans, step=20.0), "neck"))  # noqa: S314

    low, high = (float(dot.get("cy") or 0) for dot in chart.iter("circle"))
    assert high < low


def test_limits_are_round_and_never_empty() -> None:
    assert limits_of([Span("w", 101, 105, 119)], step=20.0) == (100, 120)
    assert limits_of([Span("w", 100, 100, 100)], step=20.0) == (100, 120)


def test_perfect_calibration_lies_on_the_diagonal() -> None:
    chart = fromstring(reliability([(1.0, Span("all", 0.9, 1.0, 1.0))], "calibration"))  # noqa: S314

    dot = next(chart.iter("circle"))
    diagonal = next(one for one in chart.iter("line") if one.get("class") == "diagonal")
    assert (dot.get("cx"), dot.get("cy")) == (diagonal.get("x2"), diagonal.get("y2"))
