"""Acquisition of a data set's scans, which ``model.json`` states under ``acquisition``."""

from collections.abc import Iterable

from training.cohort.dataset import Record
from training.presets import AugmentSettings
from worker.pipeline.acquisition import Envelope, Range

# Pixel rows of a coronal image correspond to axial slices of about this thickness.
THINNEST_MM = 0.6


def measure_envelope(
    records: Iterable[Record], augment: AugmentSettings | None = None
) -> Envelope:
    """Return the ranges and names of all scans.

    Augmentation that imitates a reformat of axial slices extends the axial ranges.
    Raises ValueError where no scan states its tube voltage.
    """
    known = list({record.scan: record for record in records}.values())
    thickness = _by_orientation(known, "thickness_mm")
    increment = _by_orientation(known, "increment_mm")
    if augment is not None and augment.slice_mm:
        for ranges in (thickness, increment):
            low, high = ranges.get("axial", (THINNEST_MM, augment.slice_mm))
            ranges["axial"] = min(low, THINNEST_MM), max(high, augment.slice_mm)
    return Envelope(
        scans=len(known),
        kvp=_range(scan.kvp for scan in known),
        thickness_mm=thickness,
        increment_mm=increment,
        kernels=_names(scan.kernel for scan in known),
        manufacturers=_names(scan.manufacturer for scan in known),
        contrast_share=round(sum(bool(scan.enhanced) for scan in known) / len(known), 3),
    )


def _by_orientation(scans: Iterable[Record], name: str) -> dict[str, Range]:
    found: dict[str, list[float]] = {}
    for scan in scans:
        value = getattr(scan, name)
        if value is not None:
            found.setdefault(scan.orientation, []).append(value)
    return {orientation: _range(values) for orientation, values in found.items()}


def _range(values: Iterable[float | None]) -> Range:
    known = [value for value in values if value is not None]
    return min(known), max(known)


def _names(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))
