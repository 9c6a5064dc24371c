"""Warnings for series acquired unlike the training data of the model.

``Envelope`` describes the training scans (``model.json``, key ``acquisition``). A series
outside it is graded with a warning, because the accuracy of its grade is unknown. Every rule
returns None or one sentence without patient data.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydicom import Dataset

from worker.pipeline import header_values
from worker.pipeline.volume import Series

Range = tuple[float, float]
Sharpness = Literal["smooth", "medium", "sharp"]

# Headers hold rounded values: 2.98 mm is 3, and 121 kV is 120.
TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Envelope:
    """Ranges (lowest, highest) and names that occur in the scans of the training data.

    ``thickness_mm``, ``increment_mm`` : by the orientation of the source. ``kernels`` : as
    written in the headers. ``manufacturers`` : empty where all scans were simulated.
    ``contrast_share`` : share of scans with intravenous contrast medium, 0–1.
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


def acquisition_warnings(series: Series, envelope: Envelope | None) -> tuple[str, ...]:
    """Return one sentence for each rule that the series fails, in the order of the rules."""
    if envelope is None:
        return (
            "Training scans are not described by the model: how they were acquired is unknown.",
        )
    sentences = (rule(series, envelope) for rule in RULES)
    return tuple(sentence for sentence in sentences if sentence is not None)


def tube_voltage(series: Series, envelope: Envelope) -> str | None:
    """Compare the tube voltage, on which HU of bone and iodine depend."""
    kvp = header_values.number_of(series.headers[0], "KVP")
    if kvp is None or _within(kvp, envelope.kvp):
        return None
    trained = _format(envelope.kvp, 0)
    return f"Tube voltage {kvp:.0f} kV: the model was trained on {trained} kV."


def kernel(series: Series, envelope: Envelope) -> str | None:
    """Compare the kernel by its name, otherwise by the sharpness that the name implies."""
    name = kernel_of(series)
    known = {each.upper() for each in envelope.kernels}
    if not name or name.upper() in known:
        return None
    sharpness = sharpness_of(name)
    if sharpness is not None and sharpness in {sharpness_of(each) for each in known}:
        return None
    # A value that does not look like a kernel's name may be part of a damaged header.
    shown = f" {name}" if re.fullmatch(r"[A-Za-z]{1,6}[0-9]{0,3}[a-z]?", name) else ""
    return (
        f"Reconstruction kernel{shown}: the model was trained on {', '.join(envelope.kernels)}."
    )


def thickness(series: Series, envelope: Envelope) -> str | None:
    """Compare the slice thickness: thick slices blur the neck with its surroundings."""
    found = header_values.number_of(series.headers[0], "SliceThickness")
    trained = envelope.thickness_mm.get(series.orientation)
    if found is None or trained is None or _within(found, trained):
        return None
    return f"Slice thickness {found:.1f} mm: {_trained(series, trained)}"


def increment(series: Series, envelope: Envelope) -> str | None:
    """Compare the distance of the slices' positions; a shorter one loses nothing."""
    trained = envelope.increment_mm.get(series.orientation)
    directions = header_values.directions_of(series.headers[0])
    if trained is None or directions is None:
        return None
    distances = header_values.distances_along(
        series.headers, header_values.normal_of(directions)
    )
    if distances is None or len(distances) < 2:
        return None
    found = float(np.median(np.diff(distances)))
    if found <= trained[1] * (1 + TOLERANCE):
        return None
    return f"Slice increment {found:.1f} mm: {_trained(series, trained)}"


def manufacturer(series: Series, envelope: Envelope) -> str | None:
    """Compare the manufacturer, unless the model was trained on simulated scans only."""
    name = header_values.text_of(series.headers[0], "Manufacturer")
    known = {brand_of(each) for each in envelope.manufacturers}
    if not name or not known or brand_of(name) in known:
        return None
    # The name is not quoted: in a damaged header it may be patient data.
    return (
        "Manufacturer of the scanner: the model was trained on "
        f"{', '.join(envelope.manufacturers)} only."
    )


def not_stated(series: Series, _: Envelope) -> str | None:
    """Name the values that the header lacks, so that they cannot be compared."""
    header = series.headers[0]
    stated = {
        "tube voltage": header_values.number_of(header, "KVP") is not None,
        "kernel": bool(kernel_of(series)),
        "slice thickness": header_values.number_of(header, "SliceThickness") is not None,
    }
    missing = [name for name, is_stated in stated.items() if not is_stated]
    return f"Not stated in the header: {', '.join(missing)}." if missing else None


Rule = Callable[[Series, Envelope], str | None]
RULES: tuple[Rule, ...] = (
    tube_voltage, kernel, thickness, increment, manufacturer, not_stated
)  # fmt: skip


def kernel_of(series: Series) -> str:
    """Return the kernel of the first slice."""
    return kernel_name(series.headers[0])


def kernel_name(ds: Dataset) -> str:
    """Return the first value of ConvolutionKernel.

    Some scanners add the strength of an iterative reconstruction as a second one.
    """
    value = header_values.value_of(ds, "ConvolutionKernel")
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = value[0] if len(value) else None
    return "" if value is None else str(value).strip()


def brand_of(manufacturer_name: str) -> str:
    """Return the first word in capitals (``SIEMENS``): models and legal forms vary."""
    return manufacturer_name.strip().upper().split(" ")[0]


# Siemens numbers its kernels by sharpness (B30f, Br40d, Qr44): 30 to 40 for body tissue, sharp
# from 50 on. GE, Canon and Philips use names, numbers and letters.
NAMED: Mapping[str, Sharpness] = {
    "SOFT": "smooth", "SMOOTH": "smooth", "A": "smooth",
    "STANDARD": "medium", "STND": "medium", "DETAIL": "medium", "B": "medium",
    "BONE": "sharp", "BONEPLUS": "sharp", "EDGE": "sharp", "LUNG": "sharp", "ULTRA": "sharp",
    "C": "sharp", "D": "sharp", "E": "sharp", "L": "sharp",
}  # fmt: skip
SIEMENS = re.compile(r"[BDHIJQTUC][a-z]?([0-9]{2})[a-z]?", re.IGNORECASE)
CANON = re.compile(r"FC([0-9]{2})", re.IGNORECASE)


def sharpness_of(name: str) -> Sharpness | None:
    """Return the sharpness of a kernel of the large manufacturers, None for an unknown name."""
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
    return f"the model was trained on {_format(trained, 1)} mm ({series.orientation})."


def _format(trained: Range, decimals: int) -> str:
    low, high = (f"{value:.{decimals}f}" for value in trained)
    return low if low == high else f"{low}–{high}"
