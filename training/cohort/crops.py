"""Crops of a simulated cohort, without its series: one labeled hip per scan.

DXA measures one hip, so the other hip has no label.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.cohort import planes as cohort_planes
from training.cohort import shards
from training.cohort.assemble import assemble, save_shard
from training.cohort.dataset import Record
from training.cohort.planes import outline_of, plane_of, sample_found_femur
from training.cohort.source import Source
from training.simulate import scanner
from training.simulate.acquisition import Acquisition, sample_acquisition
from training.simulate.cohort_plan import PlannedPatient, plan_cohort
from training.simulate.series import KERNELS
from training.simulate.subject import Subject
from training.simulate.truth import HipTruth, truth
from worker.pipeline import crop, load, reformat
from worker.pipeline.femurs import planes
from worker.pipeline.results import HipCrop
from worker.pipeline.volume import Femur

SHARD_PATIENTS = 16

# Share of axial scans. The paper's scans are all coronal; a PACS sends both.
AXIAL_SHARE = 0.08
# Thinner axial slices look like coronal ones after reformatting and take longer to render.
AXIAL_THICKNESS_MM = (2.5, 3.0, 5.0)
# Share of scans with a field of view of 18–28 cm around one hip.
NARROW_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan of the cohort before rendering.

    ``hip`` : the hip measured by DXA. ``femur`` : its femur with the finder's error.
    """

    subject: Subject
    acquisition: Acquisition
    hip: HipTruth
    femur: Femur


def render_cohort(
    patients: int,
    scans: int,
    seed: int,
    out_dir: Path,
    *,
    workers: int,
    advance: Callable[[int], None] = lambda patients: None,
) -> int:
    """Render a cohort to a data set in ``out_dir``; return the number of hips.

    Shards of an earlier run (``out_dir/shards``) are not rendered again. ``advance`` is called
    with the number of patients of each finished shard.
    """
    plan = plan_cohort(patients, seed, scans)
    parts = [
        plan[first : first + SHARD_PATIENTS] for first in range(0, len(plan), SHARD_PATIENTS)
    ]
    jobs = [
        (out_dir / "shards" / f"{_shard_name(part, seed)}.npz", (seed, part)) for part in parts
    ]
    shards.make_all(
        jobs, render_shard, workers=workers, advance=lambda job: advance(len(job[1]))
    )
    source = Source(simulated=True, split="shares", seed=0)
    return assemble((path for path, _ in jobs), out_dir, source)


def _shard_name(part: Sequence[PlannedPatient], seed: int) -> str:
    """Return the name of a shard, which depends on everything that determines its pixels."""
    text = repr((seed, [(p.number, p.scans, p.subject) for p in part], code_sha256()))
    return f"{part[0].number:05d}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def code_sha256() -> str:
    """Return the SHA-256 of the code that makes crops.

    It covers the simulator, the steps of the worker and the modules that join them.
    """
    digest = hashlib.sha256()
    simulator = sorted(Path(scanner.__file__).parent.rglob("*.py"))
    steps = (crop, load, reformat, planes, cohort_planes)
    for path in (*simulator, *(Path(str(module.__file__)) for module in steps), Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def render_shard(path: Path, job: tuple[int, Sequence[PlannedPatient]]) -> None:
    """Write all labeled hips of some patients to ``path``."""
    start = time.process_time()
    seed, part = job
    records, pixels, femurs, outlines = [], [], [], []
    for patient in part:
        for number, scan in enumerate(sample_scans(patient, seed)):
            cut = cut_crop(scan)
            mirrored = np.s_[:, ::-1] if scan.hip.side == "L" else np.s_[:, :]
            records.append(record_of(patient.number, number, scan))
            pixels.append(cut.pixels[mirrored])
            femurs.append(cut.femur_mm[mirrored])
            outlines.append(outline_of(scan.subject, cut, scan.hip.side)[mirrored])
    seconds = time.process_time() - start
    save_shard(path, records, pixels, femurs, outlines=outlines, seconds=seconds)


def sample_scans(patient: PlannedPatient, seed: int) -> Iterator[Scan]:
    """Yield the scans of one patient, without their pixels. DXA measured the worse hip."""
    subject = patient.subject
    hip = next(hip for hip in truth(subject) if hip.t_score == subject.t_score)
    for number in range(patient.scans):
        rng = np.random.default_rng([seed, 2, patient.number, number])
        acquisition = sample_view(rng, subject, hip)
        yield Scan(subject, acquisition, hip, sample_found_femur(rng, hip))


def sample_view(rng: np.random.Generator, subject: Subject, hip: HipTruth) -> Acquisition:
    """Return a random acquisition, mostly coronal, that contains the hip."""
    axial, narrow = rng.random(2) < (AXIAL_SHARE, NARROW_SHARE)
    while True:
        acquisition = sample_acquisition(
            rng,
            subject,
            plane="axial" if axial else "coronal",
            view="one-hip" if narrow else None,
            **({"thickness_mm": float(rng.choice(AXIAL_THICKNESS_MM))} if axial else {}),
        )
        if acquisition.side in (None, hip.side):
            return acquisition


def cut_crop(scan: Scan) -> HipCrop:
    """Return the crop as the worker would cut it."""
    return crop.crop_hip(plane_of(scan.subject, scan.acquisition, scan.femur), scan.femur)


def crop_of(
    rng: np.random.Generator, subject: Subject, acquisition: Acquisition, hip: HipTruth
) -> HipCrop:
    """Return the crop of one hip, with the finder's error added."""
    return cut_crop(Scan(subject, acquisition, hip, sample_found_femur(rng, hip)))


def record_of(patient: int, number: int, scan: Scan) -> Record:
    """Return the ``hips.csv`` record of the scan's labeled hip."""
    subject, acquisition = scan.subject, scan.acquisition
    return Record(
        patient=f"SIM{patient:05d}",
        scan=f"SIM{patient:05d}-{number + 1}",
        side=scan.hip.side,
        t_score=scan.hip.t_score,
        sex=subject.sex,
        age=subject.age_years,
        height_m=round(subject.height_m, 3),
        weight_kg=subject.weight_kg,
        orientation=acquisition.plane,
        kvp=acquisition.kvp,
        kernel=KERNELS[acquisition.kernel],
        thickness_mm=acquisition.thickness_mm,
        increment_mm=acquisition.increment_mm,
        manufacturer=None,
        enhanced=subject.body.contrast_hu > 0,
    )
