"""Crops of a simulated cohort, straight from the simulator: one labelled hip a scan, as DXA
measures one hip."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training import cohort_planes, dataset, shards
from training.cohort_planes import as_found, outline_of, plane_of
from training.dataset import Record
from training.simulate import scanner
from training.simulate.acquisition import Acquisition, sample_acquisition
from training.simulate.cohort import Patient, plan_cohort
from training.simulate.series import KERNELS
from training.simulate.subject import Subject
from training.simulate.truth import HipTruth, truth
from worker.pipeline import crop, load, reformat
from worker.pipeline.femurs import planes
from worker.pipeline.results import Femur, HipCrop

SHARD_PATIENTS = 16

# Of the scans; the paper's are all coronal, a worker beside a PACS gets both.
AXIAL_SHARE = 0.08
# Thinner axial slices, reformatted, look as coronal ones do and take longer to render.
AXIAL_THICKNESS_MM = (2.5, 3.0, 5.0)
# A field of view of 18–28 cm around one hip.
NARROW_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan of the cohort before it is rendered, the hip that DXA measured, and its femur
    as the finder might say it."""

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
    """Render a cohort to a data set in ``out_dir``; returns the number of hips.

    What an earlier run rendered (``out_dir/shards``) is not rendered again. ``advance`` hears
    of every finished shard how many patients it has.
    """
    plan = plan_cohort(patients, seed, scans)
    parts = [
        plan[first : first + SHARD_PATIENTS] for first in range(0, len(plan), SHARD_PATIENTS)
    ]
    jobs = [(out_dir / "shards" / f"{_name(part, seed)}.npz", (seed, part)) for part in parts]
    shards.make_all(
        jobs, render_shard, workers=workers, advance=lambda job: advance(len(job[1]))
    )
    return dataset.assemble((path for path, _ in jobs), out_dir)


def _name(part: Sequence[Patient], seed: int) -> str:
    """By all that the pixels depend on."""
    text = repr((seed, [(p.number, p.scans, p.subject) for p in part], code_sha256()))
    return f"{part[0].number:05d}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def code_sha256() -> str:
    """Of the code that makes crops: the simulator, the worker's steps and what joins them."""
    digest = hashlib.sha256()
    simulator = sorted(Path(scanner.__file__).parent.glob("*.py"))
    ours = (crop, load, reformat, planes, cohort_planes)
    for path in (*simulator, *(Path(str(module.__file__)) for module in ours), Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def render_shard(path: Path, job: tuple[int, Sequence[Patient]]) -> None:
    """All labelled hips of some patients, written to ``path`` at once."""
    start = time.process_time()
    seed, part = job
    records, pixels, outlines = [], [], []
    for patient in part:
        for number, scan in enumerate(sample_scans(patient, seed)):
            cut = cut_crop(scan)
            mirrored = np.s_[:, ::-1] if scan.hip.side == "L" else np.s_[:, :]
            records.append(record_of(patient.number, number, scan))
            pixels.append(cut.pixels[mirrored])
            outlines.append(outline_of(scan.subject, cut, scan.hip.side)[mirrored])
    seconds = time.process_time() - start
    dataset.save_shard(path, records, pixels, outlines, seconds=seconds)


def sample_scans(patient: Patient, seed: int) -> Iterator[Scan]:
    """The scans of one patient, without their pixels. DXA measured the worse hip."""
    subject = patient.subject
    hip = next(hip for hip in truth(subject) if hip.t_score == subject.t_score)
    for number in range(patient.scans):
        rng = np.random.default_rng([seed, 2, patient.number, number])
        yield Scan(subject, sample_view(rng, subject, hip), hip, as_found(rng, hip))


def sample_view(rng: np.random.Generator, subject: Subject, hip: HipTruth) -> Acquisition:
    """A coronal or axial acquisition, now and then of the one hip only."""
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
    """The crop as the worker would cut it."""
    return crop.crop_hip(plane_of(scan.subject, scan.acquisition, scan.femur), scan.femur)


def crop_of(
    rng: np.random.Generator, subject: Subject, acquisition: Acquisition, hip: HipTruth
) -> npt.NDArray[np.float32]:
    """(250, 250) float32, 0–255: the crop of one hip, with the finder's error added."""
    return cut_crop(Scan(subject, acquisition, hip, as_found(rng, hip))).pixels


def record_of(patient: int, number: int, scan: Scan) -> Record:
    """What ``hips.csv`` says of the scan's labelled hip."""
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
