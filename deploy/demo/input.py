"""Input of the demo: simulated studies, or the CT series of a folder."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
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

from db.states import SeriesState
from training.simulate.acquisition import sample_acquisition
from training.simulate.series import write_series
from training.simulate.study import SELECTED, write_routed_study
from training.simulate.subject import sample_subject

SEED = 2024
CT_CLASSES = frozenset(
    {CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
)
TAGS = ["SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription"]
WRITERS = 2

# One patient per grade, away from the limits of the grade, and one with metal in both hips, who
# must be rejected.
PATIENTS: tuple[dict[str, Any], ...] = (
    {"grade": "normal", "t_score": 0.4, "condition": "none"},
    {"grade": "osteopenia", "t_score": -1.8, "condition": "none"},
    {"grade": "osteoporosis", "t_score": -3.3, "condition": "none"},
    {"grade": "osteopenia", "t_score": -1.8, "condition": "metal-both"},
)
ROUTED = 2
"""Number of the patient whose study is that of ``write_routed_study``."""
ROUTED_SIZE, ROUTED_SLICES = 96, 60
"""Matrix and largest number of images of the series that are not selected: small, to be
quick."""
ROUTED_STATES: Mapping[str, SeriesState] = {
    "localizer": SeriesState.REJECTED,
    "axial 1 mm sharp": SeriesState.NOT_SELECTED,
    "axial 5 mm soft": SeriesState.NOT_SELECTED,
    SELECTED: SeriesState.DELIVERED,
    "sagittal 3 mm": SeriesState.REJECTED,
    "coronal MIP": SeriesState.REJECTED,
}


@dataclass(frozen=True, slots=True)
class DemoSeries:
    """A series to send.

    ``simulated`` : known properties of the patient, None for real CT. ``expected`` : the state
    in which the series must end, None for any.
    """

    series_instance_uid: str
    paths: tuple[Path, ...]
    description: str = ""
    simulated: Mapping[str, Any] | None = None
    expected: SeriesState | None = None


@dataclass(frozen=True, slots=True)
class DemoStudy:
    """The series of one study, which is sent as a whole."""

    study_instance_uid: str
    series: tuple[DemoSeries, ...]


def simulate(folder: Path) -> Iterator[DemoStudy]:
    """Write a study for each of ``PATIENTS``, two at a time."""
    with ProcessPoolExecutor(WRITERS) as pool:
        numbers = range(1, len(PATIENTS) + 1)
        yield from pool.map(_simulate_one, [folder] * len(PATIENTS), numbers)


def _simulate_one(folder: Path, number: int) -> DemoStudy:
    rng = np.random.default_rng((SEED, number))
    properties = PATIENTS[number - 1]
    subject = sample_subject(rng, **properties)
    acquisition = sample_acquisition(
        rng, subject, "coronal", increment_mm=3.0, thickness_mm=3.0
    )
    out, simulated = folder / f"patient{number}", dict(properties)
    simulated["t_score"] = round(subject.t_score, 2)
    if number == ROUTED:
        small = {"size": ROUTED_SIZE, "most_slices": ROUTED_SLICES}
        written = write_routed_study(subject, acquisition, out, patient=number, **small)
        return _study(
            _series(written[name], simulated, state) for name, state in ROUTED_STATES.items()
        )
    rejected = properties["condition"] != "none"
    expected = SeriesState.REJECTED if rejected else SeriesState.DELIVERED
    paths = tuple(write_series(subject, acquisition, out, patient=number))
    return _study([_series(paths, simulated, expected)])


def _series(
    paths: tuple[Path, ...], simulated: Mapping[str, Any], expected: SeriesState
) -> DemoSeries:
    ds = dcmread(paths[0], stop_before_pixels=True)
    uid, description = str(ds.SeriesInstanceUID), str(ds.SeriesDescription)
    return DemoSeries(uid, paths, description, simulated, expected)


def _study(series: Iterable[DemoSeries]) -> DemoStudy:
    members = tuple(series)
    first = dcmread(members[0].paths[0], stop_before_pixels=True)
    return DemoStudy(str(first.StudyInstanceUID), members)


def find_ct(folder: Path) -> tuple[DemoStudy, ...]:
    """Return the studies with CT series in a folder and its subfolders; ignore other files."""
    paths: defaultdict[str, list[Path]] = defaultdict(list)
    described: dict[str, tuple[str, str]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            ds = dcmread(path, specific_tags=TAGS)
        except (InvalidDicomError, OSError, ValueError, EOFError):
            continue
        if ds.get("SOPClassUID") in CT_CLASSES and ds.get("SeriesInstanceUID"):
            uid = str(ds.SeriesInstanceUID)
            paths[uid].append(path)
            study = str(ds.get("StudyInstanceUID") or uid)
            described.setdefault(uid, (study, str(ds.get("SeriesDescription", ""))))
    studies: defaultdict[str, list[DemoSeries]] = defaultdict(list)
    for uid, (study, description) in described.items():
        studies[study].append(DemoSeries(uid, tuple(paths[uid]), description))
    return tuple(DemoStudy(uid, tuple(series)) for uid, series in studies.items())
