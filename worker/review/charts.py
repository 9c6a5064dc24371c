"""SVG charts, rendered on the server; colors are classes of the style sheet.

Each chart has a label for screen readers, and the pages show its numbers in a table as well.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

WIDTH, HEIGHT = 780.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 8.0, 8.0, 36.0
TICKS = 4
LABEL_PX = 52.0


@dataclass(frozen=True, slots=True)
class StackedBar:
    """Counts by name, drawn as shares of their sum."""

    label: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ValueRange:
    """A value with a range around it."""

    label: str
    low: float
    value: float
    high: float


def stacked_shares(
    bars: Sequence[StackedBar], classes: Mapping[str, str], title: str
) -> Markup:
    """Draw stacked bars from 0 to 100 %, from the bottom in the order of ``classes``."""
    chart = _chart(title)
    _draw_scale(chart, 0.0, 100.0, " %")
    step = _step(len(bars))
    for number, bar in enumerate(bars):
        total, done = sum(bar.counts.values()), 0
        x = LEFT + step * number
        for name, css in classes.items():
            count = bar.counts.get(name, 0)
            if not count:
                continue
            bottom, top = (_y(part / total, 0.0, 1.0) for part in (done, done + count))
            rect = _add(chart, "rect", x=x + 0.1 * step, y=top, width=0.8 * step)
            rect.attrib.update({"height": _number(bottom - top), "class": css})
            SubElement(rect, "title").text = f"{bar.label}, {name}: {count} of {total}"
            done += count
    _draw_labels(chart, [bar.label for bar in bars], step)
    return _markup(chart)


def value_ranges(
    ranges: Sequence[ValueRange], limits: tuple[float, float], title: str
) -> Markup:
    """Draw a line through the values and a whisker from low to high at each."""
    chart = _chart(title)
    _draw_scale(chart, *limits)
    step = _step(len(ranges))
    middles = [LEFT + step * (number + 0.5) for number in range(len(ranges))]
    line = " ".join(
        f"{_number(x)},{_number(_y(one.value, *limits))}"
        for x, one in zip(middles, ranges, strict=True)
    )
    _add(chart, "polyline", points=line, css="line")
    for x, one in zip(middles, ranges, strict=True):
        _draw_whisker(chart, x, one, limits)
    _draw_labels(chart, [one.label for one in ranges], step)
    return _markup(chart)


def reliability_diagram(ranges: Sequence[tuple[float, ValueRange]], title: str) -> Markup:
    """Draw the observed proportion and its interval over the predicted one.

    The diagonal is perfect calibration.
    """
    chart = _chart(title)
    _draw_scale(chart, 0.0, 1.0)
    wide = WIDTH - LEFT - RIGHT
    corners = (LEFT, _y(0.0, 0.0, 1.0), LEFT + wide, _y(1.0, 0.0, 1.0))
    _draw_line(chart, *corners, css="diagonal")
    for predicted, one in ranges:
        _draw_whisker(chart, LEFT + wide * predicted, one, (0.0, 1.0))
    for number in range(TICKS + 1):
        share = number / TICKS
        anchor = "end" if number == TICKS else "middle"
        _draw_text(chart, LEFT + wide * share, HEIGHT - 20, f"{share:g}", anchor=anchor)
    _draw_text(chart, LEFT + wide / 2, HEIGHT - 4, "predicted probability of osteoporosis")
    return _markup(chart)


def axis_limits(ranges: Iterable[ValueRange], *, step: float) -> tuple[float, float]:
    """Return the lowest and the highest value, widened to multiples of ``step``."""
    values = [value for one in ranges for value in (one.low, one.high)]
    low, high = min(values) // step * step, -(-max(values) // step) * step
    return (low, high) if high > low else (low, low + step)


def _chart(title: str) -> Element:
    chart = Element(
        "svg",
        {"viewBox": f"0 0 {WIDTH:g} {HEIGHT:g}", "class": "chart", "role": "img"},
    )
    chart.set("aria-label", title)
    return chart


def _draw_scale(chart: Element, low: float, high: float, unit: str = "") -> None:
    for number in range(TICKS + 1):
        value = low + (high - low) * number / TICKS
        y = _y(value, low, high)
        _draw_line(chart, LEFT, y, WIDTH - RIGHT, y, css="axis")
        _draw_text(chart, LEFT - 6, y + 4, f"{value:g}{unit}", anchor="end")


def _draw_labels(chart: Element, labels: Sequence[str], step: float) -> None:
    every = max(1, -(-int(LABEL_PX) // max(1, int(step))))
    for number, label in enumerate(labels):
        if number % every == 0:
            _draw_text(chart, LEFT + step * (number + 0.5), HEIGHT - 18, label)


def _draw_whisker(
    chart: Element, x: float, one: ValueRange, limits: tuple[float, float]
) -> None:
    low, high = _y(one.low, *limits), _y(one.high, *limits)
    _draw_line(chart, x, low, x, high, css="whisker")
    dot = _add(chart, "circle", cx=x, cy=_y(one.value, *limits), r=3.5, css="fill-accent")
    text = f"{one.label}: {one.value:.3g} ({one.low:.3g} to {one.high:.3g})"
    SubElement(dot, "title").text = text


def _draw_line(chart: Element, x1: float, y1: float, x2: float, y2: float, *, css: str) -> None:
    _add(chart, "line", x1=x1, y1=y1, x2=x2, y2=y2, css=css)


def _draw_text(
    chart: Element, x: float, y: float, text: str, *, anchor: str = "middle"
) -> None:
    element = _add(chart, "text", x=x, y=y, css="quiet-text")
    element.set("text-anchor", anchor)
    element.text = text


def _add(chart: Element, tag: str, *, css: str = "", **values: float | str) -> Element:
    named = {k: v if isinstance(v, str) else _number(v) for k, v in values.items()}
    return SubElement(chart, tag, {**named, **({"class": css} if css else {})})


def _y(value: float, low: float, high: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)


def _step(count: int) -> float:
    # At least 8, so that a few bars are not as wide as the page.
    return (WIDTH - LEFT - RIGHT) / max(count, 8)


def _number(value: float) -> str:
    return f"{value:.1f}"


def _markup(chart: Element) -> Markup:
    # ElementTree has escaped every text and attribute.
    return Markup(tostring(chart, encoding="unicode"))  # noqa: S704
