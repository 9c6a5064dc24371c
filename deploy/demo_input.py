"""What the demo sends: simulated series, or the CTs of a folder; and the sending itself."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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
from pynetdicom import AE

from peers.checkpoint import guard
from training.simulate.acquisition import sample_acquisition
from training.simulate.series import write_series
from training.simulate.subject import sample_subject

SEED = 2024
CT_CLASSES = frozenset(
    {CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
)
WRITERS = 2

# One of each grade, away from its limits, and one with metal in both hips, whom nobody may
# grade.
PATIENTS: tuple[dict[str, Any], ...] = (
    {"grade": "normal", "t_score": 0.4, "condition": "none"},
    {"grade": "osteopenia", "t_score": -1.8, "condition": "none"},
    {"grade": "osteoporosis", "t_score": -3.3, "condition": "none"},
    {"grade": "osteopenia", "t_score": -1.8, "condition": "metal-both"},
)


@dataclass(frozen=True, slots=True)
class Sent:
    """One series that the demo sends. ``simulated``: what is known of it, None for real CT."""

    series_instance_uid: str
    paths: tuple[Path, ...]
    simulated: Mapping[str, Any] | None = None

    @property
    def must_be_rejected(self) -> bool:
        """Whether a grade for this series would be a mistake."""
        return self.simulated is not None and self.simulated["condition"] != "none"


def simulate(folder: Path) -> Iterator[Sent]:
    """Write one coronal series a patient of ``PATIENTS``, two at a time."""
    with ProcessPoolExecutor(WRITERS) as pool:
        numbers = range(1, len(PATIENTS) + 1)
        yield from pool.map(_simulate_one, [folder] * len(PATIENTS), numbers)


def _simulate_one(folder: Path, number: int) -> Sent:
    rng = np.random.default_rng((SEED, number))
    wanted = PATIENTS[number - 1]
    subject = sample_subject(rng, **wanted)
    acquisition = sample_acquisition(
        rng, subject, "coronal", increment_mm=3.0, thickness_mm=3.0
    )
    paths = write_series(subject, acquisition, folder / f"patient{number}", patient=number)
    return Sent(
        series_instance_uid=str(dcmread(paths[0], stop_before_pixels=True).SeriesInstanceUID),
        paths=tuple(paths),
        simulated={**wanted, "t_score": round(subject.t_score, 2)},
    )


def find_ct(folder: Path) -> tuple[Sent, ...]:
    """The CT series under a folder; everything else is left out."""
    series: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            ds = dcmread(path, specific_tags=["SOPClassUID", "SeriesInstanceUID"])
        except (InvalidDicomError, OSError, ValueError, EOFError):
            continue
        if ds.get("SOPClassUID") in CT_CLASSES and ds.get("SeriesInstanceUID"):
            series[str(ds.SeriesInstanceUID)].append(path)
    return tuple(Sent(uid, tuple(paths)) for uid, paths in series.items())


def send(paths: Sequence[Path], port: int) -> int:
    """Send files over one association by C-STORE; returns how many were accepted."""
    headers = [dcmread(path, stop_before_pixels=True) for path in paths]
    ae = AE(ae_title="MODALITY")
    for kind in sorted({(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in headers}):
        ae.add_requested_context(*kind)
    assoc = ae.associate("127.0.0.1", port, ae_title="OSTEOSCREEN")
    if not assoc.is_established:
        raise RuntimeError(f"the Storage SCP at port {port} does not accept an association")
    guard(assoc)
    accepted = 0
    try:
        for path in paths:
            status = assoc.send_c_store(dcmread(path))
            accepted += "Status" in status and status.Status == 0
    finally:
        assoc.release()
    return accepted
