"""How the scans of a cohort were acquired: what ``model.json`` says under ``acquisition``."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from training.cohort_crops import Scan, sample_scans
from training.presets import Preset
from training.simulate.series import KERNELS
from worker.pipeline.acquisition import Envelope, Range
from worker.pipeline.results import Orientation


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """One training scan; None where it is not known. ``manufacturer`` : none if simulated."""

    orientation: Orientation
    kvp: float | None
    thickness_mm: float | None
    increment_mm: float | None
    kernel: str | None
    manufacturer: str | None
    enhanced: bool


def measure_envelope(scans: Iterable[ScanFacts]) -> Envelope:
    """Ranges and names of all scans. Raises ValueError where none states its tube voltage."""
    known = list(scans)
    return Envelope(
        scans=len(known),
        kvp=_range(scan.kvp for scan in known),
        thickness_mm=_by_orientation(known, "thickness_mm"),
        increment_mm=_by_orientation(known, "increment_mm"),
        kernels=_names(scan.kernel for scan in known),
        manufacturers=_names(scan.manufacturer for scan in known),
        contrast_share=round(sum(scan.enhanced for scan in known) / len(known), 3),
    )


def simulated_envelope(preset: Preset, seed: int) -> Envelope:
    """Of a preset's cohort, whose scans are drawn again without rendering them.

    All are coronal. Augmentation makes some crops look reformatted from axial slices: those
    count from the thinnest that a coronal picture stands for, its own pixels, to the thickest.
    """
    scans = [
        scan
        for patient in range(preset.cohort.patients)
        for scan in sample_scans(preset.cohort, seed, patient)
    ]
    axial = min(scan.acquisition.pixel_mm for scan in scans), preset.augment.slice_mm
    measured = measure_envelope(map(_facts, scans))
    return replace(
        measured,
        thickness_mm={**measured.thickness_mm, "axial": axial},
        increment_mm={**measured.increment_mm, "axial": axial},
    )


def _facts(scan: Scan) -> ScanFacts:
    acquisition = scan.acquisition
    return ScanFacts(
        orientation=acquisition.plane,
        kvp=acquisition.kvp,
        thickness_mm=acquisition.thickness_mm,
        increment_mm=acquisition.increment_mm,
        kernel=KERNELS[acquisition.kernel],
        manufacturer=None,
        enhanced=scan.subject.body.contrast_hu > 0,
    )


def _by_orientation(scans: Iterable[ScanFacts], name: str) -> dict[str, Range]:
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
