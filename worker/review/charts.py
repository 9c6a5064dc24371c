"""Small charts as SVG, made on the server; colours are classes of the style sheet.

Each has a text for who cannot see it, and stands beside a table with its numbers.
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
class Column:
    """A stacked bar: counts by name, drawn as shares of their sum."""

    label: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Span:
    """A value with a range around it."""

    label: str
    low: float
    value: float
    high: float


def shares(columns: Sequence[Column], classes: Mapping[str, str], title: str) -> Markup:
    """Stacked bars from 0 to 100 %, in the order of ``classes`` from below."""
    chart = _chart(title)
    _scale(chart, 0.0, 100.0, " %")
    step = _step(len(columns))
    for number, column in enumerate(columns):
        total, done = sum(column.counts.values()), 0
        x = LEFT + step * number
        for name, css in classes.items():
            count = column.counts.get(name, 0)
            if not count:
                continue
            bottom, top = (_y(part / total, 0.0, 1.0) for part in (done, done + count))
            bar = _add(chart, "rect", x=x + 0.1 * step, y=top, width=0.8 * step)
            bar.attrib.update({"height": _number(bottom - top), "class": css})
            SubElement(bar, "title").text = f"{column.label}, {name}: {count} of {total}"
            done += count
    _labels(chart, [column.label for column in columns], step)
    return _markup(chart)


def ranges(spans: Sequence[Span], limits: tuple[float, float], title: str) -> Markup:
    """A line through values with a whisker from low to high at each."""
    chart = _chart(title)
    _scale(chart, *limits)
    step = _step(len(spans))
    middles = [LEFT + step * (number + 0.5) for number in range(len(spans))]
    line = " ".join(
        f"{_number(x)},{_number(_y(span.value, *limits))}"
        for x, span in zip(middles, spans, strict=True)
    )
    _add(chart, "polyline", points=line, css="line")
    for x, span in zip(middles, spans, strict=True):
        _whisker(chart, x, span, limits)
    _labels(chart, [span.label for span in spans], step)
    return _markup(chart)


def reliability(spans: Sequence[tuple[float, Span]], title: str) -> Markup:
    """Observed share (with its interval) over the predicted one; the diagonal is ideal."""
    chart = _chart(title)
    _scale(chart, 0.0, 1.0)
    wide = WIDTH - LEFT - RIGHT
    corners = (LEFT, _y(0.0, 0.0, 1.0), LEFT + wide, _y(1.0, 0.0, 1.0))
    _line(chart, *corners, css="diagonal")
    for predicted, span in spans:
        _whisker(chart, LEFT + wide * predicted, span, (0.0, 1.0))
    for number in range(TICKS + 1):
        share = number / TICKS
        anchor = "end" if number == TICKS else "middle"
        _text(chart, LEFT + wide * share, HEIGHT - 20, f"{share:g}", anchor=anchor)
    _text(chart, LEFT + wide / 2, HEIGHT - 4, "predicted probability of osteoporosis")
    return _markup(chart)


def limits_of(spans: Iterable[Span], *, step: float) -> tuple[float, float]:
    """From the lowest to the highest, widened to multiples of ``step``."""
    values = [value for span in spans for value in (span.low, span.high)]
    low, high = min(values) // step * step, -(-max(values) // step) * step
    return (low, high) if high > low else (low, low + step)


def _chart(title: str) -> Element:
    chart = Element(
        "svg",
        {"viewBox": f"0 0 {WIDTH:g} {HEIGHT:g}", "class": "chart", "role": "img"},
    )
    chart.set("aria-label", title)
    return chart


def _scale(chart: Element, low: float, high: float, unit: str = "") -> None:
    for number in range(TICKS + 1):
        value = low + (high - low) * number / TICKS
        y = _y(value, low, high)
        _line(chart, LEFT, y, WIDTH - RIGHT, y, css="axis")
        _text(chart, LEFT - 6, y + 4, f"{value:g}{unit}", anchor="end")


def _labels(chart: Element, labels: Sequence[str], step: float) -> None:
    every = max(1, -(-int(LABEL_PX) // max(1, int(step))))
    for number, label in enumerate(labels):
        if number % every == 0:
            _text(chart, LEFT + step * (number + 0.5), HEIGHT - 18, label)


def _whisker(chart: Element, x: float, span: Span, limits: tuple[float, float]) -> None:
    low, high = _y(span.low, *limits), _y(span.high, *limits)
    _line(chart, x, low, x, high, css="whisker")
    dot = _add(chart, "circle", cx=x, cy=_y(span.value, *limits), r=3.5, css="fill-accent")
    text = f"{span.label}: {span.value:.3g} ({span.low:.3g} to {span.high:.3g})"
    SubElement(dot, "title").text = text


def _line(chart: Element, x1: float, y1: float, x2: float, y2: float, *, css: str) -> None:
    _add(chart, "line", x1=x1, y1=y1, x2=x2, y2=y2, css=css)


def _text(chart: Element, x: float, y: float, text: str, *, anchor: str = "middle") -> None:
    element = _add(chart, "text", x=x, y=y, css="quiet-text")
    element.set("text-anchor", anchor)
    element.text = text


def _add(chart: Element, tag: str, *, css: str = "", **values: float | str) -> Element:
    named = {k: v if isinstance(v, str) else _number(v) for k, v in values.items()}
    return SubElement(chart, tag, {**named, **({"class": css} if css else {})})


def _y(value: float, low: float, high: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)


def _step(count: int) -> float:
    # A few bars are not drawn as wide as the page.
    return (WIDTH - LEFT - RIGHT) / max(count, 8)


def _number(value: float) -> str:
    return f"{value:.1f}"


def _markup(chart: Element) -> Markup:
    # ElementTree has escaped every text and attribute.
    return Markup(tostring(chart, encoding="unicode"))  # noqa: S704
