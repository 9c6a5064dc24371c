"""A routed study: the series that a PACS sends for one CT, of which one gives the report."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.simulate.acquisition import Acquisition
from training.simulate.series import write_series
from training.simulate.subject import Subject

SAGITTAL_MM = 300.0
"""Width of the sagittal series, from side to side."""

Change = Callable[[Acquisition], Acquisition]


def _axial(coronal: Acquisition, thickness_mm: float, **changed: Any) -> Acquisition:
    low, high = coronal.scan_mm
    center = (*coronal.center_mm[:2], round((low + high) / 2, 2))
    return replace(
        coronal,
        plane="axial",
        thickness_mm=thickness_mm,
        increment_mm=thickness_mm,
        slices=int((high - low) / thickness_mm),
        center_mm=center,
        **changed,
    )


def _localizer(coronal: Acquisition) -> Acquisition:
    return replace(coronal, slices=1, thickness_mm=1.0)


def _axial_sharp(coronal: Acquisition) -> Acquisition:
    return _axial(coronal, 1.0, kernel="sharp", noise_hu=2 * coronal.noise_hu)


def _axial_soft(coronal: Acquisition) -> Acquisition:
    return _axial(coronal, 5.0)


def _sagittal(coronal: Acquisition) -> Acquisition:
    slices = int(SAGITTAL_MM / coronal.increment_mm)
    return replace(coronal, plane="sagittal", slices=slices)


def _projection(coronal: Acquisition) -> Acquisition:
    slices = int(coronal.slices * coronal.increment_mm / 10)
    # Rendered as thin slices, which is quicker; the header states slabs of 10 mm.
    return replace(coronal, slices=slices, thickness_mm=1.0, increment_mm=10.0)


SELECTED = "coronal 3 mm"
"""Name of the series that is selected for the report."""
SELECTED_NUMBER = 4
LOCALIZER = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
PROJECTION = {"ImageType": ["DERIVED", "SECONDARY", "MIP"], "SliceThickness": "10"}
OTHERS: Mapping[str, tuple[int, Change, Mapping[str, Any]]] = {
    "localizer": (1, _localizer, LOCALIZER),
    "axial 1 mm sharp": (2, _axial_sharp, {}),
    "axial 5 mm soft": (3, _axial_soft, {}),
    "sagittal 3 mm": (5, _sagittal, {}),
    "coronal MIP": (6, _projection, PROJECTION),
}
"""Name of each other series → its number, its acquisition and its elements."""


def write_routed_study(
    subject: Subject,
    coronal: Acquisition,
    folder: Path,
    *,
    patient: int = 1,
    size: int | None = None,
    most_slices: int | None = None,
) -> dict[str, tuple[Path, ...]]:
    """Write the six series of a study; return the files of each by its name.

    ``coronal`` is the series to be selected: slices of 3 mm and a kernel for soft tissue.
    ``size`` and ``most_slices`` limit the images of the other series: rows and columns, and
    their number around the middle. Only its headers say that the projection (MIP) is one.
    """
    written = {
        SELECTED: _write(
            subject, coronal, folder, patient, SELECTED, {"SeriesNumber": SELECTED_NUMBER}
        )
    }
    for name, (number, change, elements) in OTHERS.items():
        acquisition = _limited(change(coronal), size, most_slices)
        written[name] = _write(
            subject, acquisition, folder, patient, name, {"SeriesNumber": number, **elements}
        )
    return written


def _limited(acquisition: Acquisition, size: int | None, most: int | None) -> Acquisition:
    if most is not None:
        acquisition = replace(acquisition, slices=min(most, acquisition.slices))
    if size is None:
        return acquisition
    pixel_mm = round(acquisition.pixel_mm * acquisition.rows / size, 4)
    return replace(acquisition, rows=size, columns=size, pixel_mm=pixel_mm)


def _write(
    subject: Subject,
    acquisition: Acquisition,
    folder: Path,
    patient: int,
    name: str,
    elements: Mapping[str, Any],
) -> tuple[Path, ...]:
    header = {"SeriesDescription": f"{name}, simulated", **elements}
    paths = write_series(
        subject, acquisition, folder / name.replace(" ", "-"), patient=patient, header=header
    )
    return tuple(paths)
