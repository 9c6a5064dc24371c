"""Input of the demo: simulated series, or the CT series of a folder."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from training.simulate.acquisition import sample_acquisition
from training.simulate.series import write_series
from training.simulate.subject import sample_subject

SEED = 2024
CT_CLASSES = frozenset(
    {CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
)
WRITERS = 2

# One patient per grade, away from the limits of the grade, and one with metal in both hips, who
# must be rejected.
PATIENTS: tuple[dict[str, Any], ...] = (
    {"grade": "normal", "t_score": 0.4, "condition": "none"},
    {"grade": "osteopenia", "t_score": -1.8, "condition": "none"},
    {"grade": "osteoporosis", "t_score": -3.3, "condition": "none"},
    {"grade": "osteopenia", "t_score": -1.8, "condition": "metal-both"},
)


@dataclass(frozen=True, slots=True)
class DemoSeries:
    """A series to send; ``simulated`` holds its known properties, None for real CT."""

    series_instance_uid: str
    paths: tuple[Path, ...]
    simulated: Mapping[str, Any] | None = None

    @property
    def must_be_rejected(self) -> bool:
        """Whether a grade for this series would be wrong."""
        return self.simulated is not None and self.simulated["condition"] != "none"


def simulate(folder: Path) -> Iterator[DemoSeries]:
    """Write a coronal series for each of ``PATIENTS``, two at a time."""
    with ProcessPoolExecutor(WRITERS) as pool:
        numbers = range(1, len(PATIENTS) + 1)
        yield from pool.map(_simulate_one, [folder] * len(PATIENTS), numbers)


def _simulate_one(folder: Path, number: int) -> DemoSeries:
    rng = np.random.default_rng((SEED, number))
    properties = PATIENTS[number - 1]
    subject = sample_subject(rng, **properties)
    acquisition = sample_acquisition(
        rng, subject, "coronal", increment_mm=3.0, thickness_mm=3.0
    )
    paths = write_series(subject, acquisition, folder / f"patient{number}", patient=number)
    return DemoSeries(
        series_instance_uid=str(dcmread(paths[0], stop_before_pixels=True).SeriesInstanceUID),
        paths=tuple(paths),
        simulated={**properties, "t_score": round(subject.t_score, 2)},
    )


def find_ct(folder: Path) -> tuple[DemoSeries, ...]:
    """Return the CT series in a folder and its subfolders; ignore other files."""
    series: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            ds = dcmread(path, specific_tags=["SOPClassUID", "SeriesInstanceUID"])
        except (InvalidDicomError, OSError, ValueError, EOFError):
            continue
        if ds.get("SOPClassUID") in CT_CLASSES and ds.get("SeriesInstanceUID"):
            series[str(ds.SeriesInstanceUID)].append(path)
    return tuple(DemoSeries(uid, tuple(paths)) for uid, paths in series.items())
