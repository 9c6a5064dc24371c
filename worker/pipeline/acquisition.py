"""How a series was acquired, against what the model was trained on.

``Envelope`` is what a model package says of its training scans (``model.json``, key
``acquisition``). Outside of it a series is graded with a warning: nothing is known of how good
the grade is. Every rule answers None or one sentence without patient data.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from worker.pipeline import geometry
from worker.pipeline.results import Series

Range = tuple[float, float]
Sharpness = Literal["smooth", "medium", "sharp"]

# Headers round: 2.98 mm is 3, and 121 kV is 120.
TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Envelope:
    """Ranges (lowest, highest) and names that occurred among the scans of the training data.

    ``thickness_mm``, ``increment_mm`` : by the orientation of the source. ``kernels`` : as the
    headers name them. ``manufacturers`` : none where all scans were simulated.
    ``contrast_share`` : of scans with intravenous contrast medium, 0–1.
    """

    scans: int
    kvp: Range
    thickness_mm: Mapping[str, Range]
    increment_mm: Mapping[str, Range]
    kernels: tuple[str, ...]
    manufacturers: tuple[str, ...]
    contrast_share: float

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Envelope":
        """Read ``model.json``. Raises KeyError, TypeError or ValueError."""
        return cls(
            scans=int(entry["scans"]),
            kvp=_range(entry["kvp"]),
            thickness_mm={k: _range(v) for k, v in entry["thickness_mm"].items()},
            increment_mm={k: _range(v) for k, v in entry["increment_mm"].items()},
            kernels=tuple(map(str, entry["kernels"])),
            manufacturers=tuple(map(str, entry["manufacturers"])),
            contrast_share=float(entry["contrast_share"]),
        )


def warnings_of(series: Series, envelope: Envelope | None) -> tuple[str, ...]:
    """One sentence for each rule that the series breaks, in the order of the rules."""
    if envelope is None:
        return (
            "Training scans are not described by the model: how they were acquired is unknown.",
        )
    said = (rule(series, envelope) for rule in RULES)
    return tuple(sentence for sentence in said if sentence is not None)


def tube_voltage(series: Series, envelope: Envelope) -> str | None:
    """HU of bone and iodine depend on it."""
    kvp = geometry.number_of(series.headers[0], "KVP")
    if kvp is None or _within(kvp, envelope.kvp):
        return None
    return f"Tube voltage {kvp:.0f} kV: the model was trained on {_said(envelope.kvp, 0)} kV."


def kernel(series: Series, envelope: Envelope) -> str | None:
    """Its name, or at least how sharp the name says that it is."""
    name = kernel_of(series)
    known = {each.upper() for each in envelope.kernels}
    if not name or name.upper() in known:
        return None
    sharpness = sharpness_of(name)
    if sharpness is not None and sharpness in {sharpness_of(each) for each in known}:
        return None
    said = f" {name}" if re.fullmatch(r"[A-Za-z]{1,6}[0-9]{0,3}[a-z]?", name) else ""
    return (
        f"Reconstruction kernel{said}: the model was trained on {', '.join(envelope.kernels)}."
    )


def thickness(series: Series, envelope: Envelope) -> str | None:
    """Thick slices blur the neck into what lies in front and behind."""
    found = geometry.number_of(series.headers[0], "SliceThickness")
    trained = envelope.thickness_mm.get(series.orientation)
    if found is None or trained is None or _within(found, trained):
        return None
    return f"Slice thickness {found:.1f} mm: {_trained(series, trained)}"


def increment(series: Series, envelope: Envelope) -> str | None:
    """From slice to slice, by their positions; overlapping slices lose nothing."""
    trained = envelope.increment_mm.get(series.orientation)
    directions = geometry.directions_of(series.headers[0])
    if trained is None or directions is None:
        return None
    distances = geometry.distances_along(series.headers, geometry.normal_of(directions))
    if distances is None or len(distances) < 2:
        return None
    found = float(np.median(np.diff(distances)))
    if found <= trained[1] * (1 + TOLERANCE):
        return None
    return f"Slice increment {found:.1f} mm: {_trained(series, trained)}"


def manufacturer(series: Series, envelope: Envelope) -> str | None:
    """Whose scanner; not asked of a model that was trained on simulated scans."""
    name = geometry.text_of(series.headers[0], "Manufacturer")
    known = {brand_of(each) for each in envelope.manufacturers}
    if not name or not known or brand_of(name) in known:
        return None
    # The name is not repeated: of a damaged header it may be anything.
    return (
        "Manufacturer of the scanner: the model was trained on "
        f"{', '.join(envelope.manufacturers)} only."
    )


def not_stated(series: Series, _: Envelope) -> str | None:
    """What the header must say before it can be compared."""
    header = series.headers[0]
    stated = {
        "tube voltage": geometry.number_of(header, "KVP") is not None,
        "kernel": bool(kernel_of(series)),
        "slice thickness": geometry.number_of(header, "SliceThickness") is not None,
    }
    missing = [name for name, is_stated in stated.items() if not is_stated]
    return f"Not stated in the header: {', '.join(missing)}." if missing else None


Rule = Callable[[Series, Envelope], str | None]
RULES: tuple[Rule, ...] = (
    tube_voltage, kernel, thickness, increment, manufacturer, not_stated
)  # fmt: skip


def kernel_of(series: Series) -> str:
    """The first value: some scanners add the strength of an iterative reconstruction."""
    value = geometry.value_of(series.headers[0], "ConvolutionKernel")
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = value[0] if len(value) else None
    return "" if value is None else str(value).strip()


def brand_of(manufacturer_name: str) -> str:
    """``SIEMENS`` of "Siemens Healthineers": models and legal forms vary."""
    return manufacturer_name.strip().upper().split(" ")[0]


# Siemens numbers its kernels by sharpness (B30f, Br40d, Qr44): body tissue has 30 to 40, from
# 50 on they are sharp. GE, Canon and Philips use names, numbers and letters.
NAMED: Mapping[str, Sharpness] = {
    "SOFT": "smooth", "SMOOTH": "smooth", "A": "smooth",
    "STANDARD": "medium", "STND": "medium", "DETAIL": "medium", "B": "medium",
    "BONE": "sharp", "BONEPLUS": "sharp", "EDGE": "sharp", "LUNG": "sharp", "ULTRA": "sharp",
    "C": "sharp", "D": "sharp", "E": "sharp", "L": "sharp",
}  # fmt: skip
SIEMENS = re.compile(r"[BDHIJQTUC][a-z]?([0-9]{2})[a-z]?", re.IGNORECASE)
CANON = re.compile(r"FC([0-9]{2})", re.IGNORECASE)


def sharpness_of(name: str) -> Sharpness | None:
    """How sharp a kernel is by the names of the large manufacturers; None of an unknown one."""
    if match := CANON.fullmatch(name):
        return "sharp" if int(match[1]) >= 30 else "medium"
    if match := SIEMENS.fullmatch(name):
        number = int(match[1])
        return "smooth" if number < 30 else "medium" if number < 50 else "sharp"
    return NAMED.get(name.upper().replace(" ", ""))


def _range(value: Any) -> Range:
    low, high = value
    return float(low), float(high)


def _within(value: float, trained: Range) -> bool:
    return trained[0] * (1 - TOLERANCE) <= value <= trained[1] * (1 + TOLERANCE)


def _trained(series: Series, trained: Range) -> str:
    return f"the model was trained on {_said(trained, 1)} mm ({series.orientation})."


def _said(trained: Range, decimals: int) -> str:
    low, high = (f"{value:.{decimals}f}" for value in trained)
    return low if low == high else f"{low}–{high}"
