"""Crops of a simulated cohort, straight from the simulator: only the pixels of each crop are
rendered, by the same code that writes whole series, and cut by the worker's own ``crop``.

The finder is not run: the crop's centre is the true neck centre with the finder's error added,
and the plane goes through it. What the finder does to the grades is measured apart, on whole
series (``production_path``). All scans are coronal; what an axial one looks like after it was
reformatted is an augmentation.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from training.presets import Cohort
from training.simulate import scanner
from training.simulate.acquisition import Acquisition, sample_acquisition
from training.simulate.subject import Subject, sample_subject
from training.simulate.truth import HipTruth, truth
from worker.pipeline import crop
from worker.pipeline.grade import grade_of_t_score, worse_grade
from worker.pipeline.results import Femur, Grade, Plane

SHARD_PATIENTS = 20

# Standard deviations of the finder's neck centre and of its plane, mm.
NECK_ERROR_MM = 3.0
PLANE_ERROR_MM = 3.0
# Half of the region that is rendered: half a crop (122 mm), the error and room for filters.
REACH_MM = 138.0
CONDITIONS = ("none", "osteoarthritis", "arms")
CONDITION_SHARES = (0.88, 0.08, 0.04)


@dataclass(frozen=True, slots=True)
class Target:
    """A femur as the finder might say it, and the depth of the plane through it (y, LPS mm)."""

    femur: Femur
    depth_mm: float


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan of the cohort before it is rendered; ``targets`` : right first."""

    subject: Subject
    acquisition: Acquisition
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Crops:
    """Crops of many hips; the arrays run alike.

    ``pixels`` : (n, 250, 250) float16, 0–255 (a step is at most 1 HU); left hips mirrored, so
    that all look like right ones. ``t_score`` : of this hip, as DXA would print it.
    """

    pixels: npt.NDArray[np.float16]
    patient: npt.NDArray[np.int32]
    scan: npt.NDArray[np.int8]
    left: npt.NDArray[np.bool_]
    t_score: npt.NDArray[np.float32]

    @property
    def grades(self) -> list[Grade]:
        """The WHO grade of each hip: the label."""
        return [grade_of_t_score(float(t)) for t in self.t_score]

    @property
    def patient_grades(self) -> list[Grade]:
        """The grade of each crop's patient: the worse hip's."""
        grades = self.grades
        worst: dict[int, Grade] = {}
        for patient, grade in zip(self.patient.tolist(), grades, strict=True):
            worst[patient] = worse_grade((grade, worst.get(patient, grade)))
        return [worst[patient] for patient in self.patient.tolist()]

    def take(self, indices: npt.NDArray[np.intp]) -> "Crops":
        """Some of them."""
        return Crops(*(getattr(self, name)[indices] for name in FIELDS))


FIELDS = tuple(Crops.__dataclass_fields__)


def render_cohort(
    cohort: Cohort,
    seed: int,
    cache_dir: Path,
    *,
    workers: int,
    advance: Callable[[int], None] = lambda patients: None,
) -> tuple[Crops, float]:
    """Render a cohort in ``workers`` processes, or read what an earlier run rendered.

    Also returns the processor seconds that rendering took, now or then. ``advance`` hears of
    every finished shard how many patients it has.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    jobs = {}
    paths = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for first in range(0, cohort.patients, SHARD_PATIENTS):
            patients = range(first, min(first + SHARD_PATIENTS, cohort.patients))
            path = cache_dir / f"{_fingerprint(cohort, seed, patients)}.npz"
            paths.append(path)
            if path.exists():
                advance(len(patients))
            else:
                job = pool.submit(render_shard, cohort, seed, patients, path)
                jobs[job] = len(patients)
        for job in as_completed(jobs):
            job.result()
            advance(jobs[job])
    shards = [dict(np.load(path)) for path in paths]
    crops = Crops(*(np.concatenate([shard[name] for shard in shards]) for name in FIELDS))
    return crops, sum(float(shard["seconds"]) for shard in shards)


def _fingerprint(cohort: Cohort, seed: int, patients: Sequence[int]) -> str:
    """Names a shard by all that its pixels depend on."""
    text = repr((seed, patients, cohort.scans, code_sha256()))
    return f"{patients[0]:05d}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def code_sha256() -> str:
    """Of the code that makes crops: the simulator, the crop and this module."""
    digest = hashlib.sha256()
    simulator = sorted(Path(scanner.__file__).parent.glob("*.py"))
    for path in (*simulator, Path(crop.__file__), Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def render_shard(cohort: Cohort, seed: int, patients: Sequence[int], path: Path) -> None:
    """All crops of some patients, written to ``path`` at once.

    One thread of BLAS: more would fight for the cores of the other processes, and how a
    product is split among threads shows in its last digit.
    """
    with threadpool_limits(1, user_api="blas"):
        _render_shard(cohort, seed, patients, path)


def _render_shard(cohort: Cohort, seed: int, patients: Sequence[int], path: Path) -> None:
    start = time.process_time()
    rows: list[tuple[object, ...]] = []
    for patient in patients:
        for number, scan in enumerate(sample_scans(cohort, seed, patient)):
            for hip, target in zip(truth(scan.subject), scan.targets, strict=True):
                pixels = cut(scan.subject, scan.acquisition, target)
                pixels = pixels if hip.side == "R" else pixels[:, ::-1]
                row = (
                    pixels.astype(np.float16),
                    patient,
                    number,
                    hip.side == "L",
                    hip.t_score,
                )
                rows.append(row)
    columns: dict[str, Any] = dict(
        zip(FIELDS, map(np.array, zip(*rows, strict=True)), strict=True)
    )
    columns["patient"] = columns["patient"].astype(np.int32)
    columns["scan"] = columns["scan"].astype(np.int8)
    columns["t_score"] = columns["t_score"].astype(np.float32)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, seconds=time.process_time() - start, **columns)
    partial.rename(path)


def sample_patient(rng: np.random.Generator) -> Subject:
    """A patient of the cohort: grades alike in number, some with arthritis or arms down."""
    condition = CONDITIONS[rng.choice(len(CONDITIONS), p=CONDITION_SHARES)]
    return sample_subject(rng, condition=condition)


def sample_scans(cohort: Cohort, seed: int, patient: int) -> Iterator[Scan]:
    """The scans of one patient of the cohort, without their pixels."""
    rng = np.random.default_rng([seed, patient])
    subject = sample_patient(rng)
    for _ in range(cohort.scans):
        acquisition = sample_acquisition(rng, subject, plane="coronal")
        targets = tuple(aim(rng, hip) for hip in truth(subject))
        yield Scan(subject, acquisition, targets)


def aim(rng: np.random.Generator, hip: HipTruth) -> Target:
    """The truth of a hip with the finder's error added."""
    x, y, z = np.add(hip.neck_mm, rng.normal(0.0, NECK_ERROR_MM, 3)).tolist()
    femur = Femur(hip.side, hip.center_mm, hip.radius_mm, (x, y, z), confidence=1.0)
    return Target(femur, y + float(rng.normal(0.0, PLANE_ERROR_MM)))


def crop_of(
    rng: np.random.Generator, subject: Subject, acquisition: Acquisition, hip: HipTruth
) -> npt.NDArray[np.float32]:
    """(250, 250) float32, 0–255: the crop of one hip, with the finder's error added."""
    return cut(subject, acquisition, aim(rng, hip))


def cut(subject: Subject, acquisition: Acquisition, target: Target) -> npt.NDArray[np.float32]:
    """(250, 250) float32, 0–255: the crop at a target."""
    plane = plane_of(subject, acquisition, target.femur, target.depth_mm)
    return crop.crop_hip(plane, target.femur).pixels


def plane_of(
    subject: Subject, acquisition: Acquisition, femur: Femur, depth_mm: float
) -> Plane:
    """The slice nearest to y = ``depth_mm`` (LPS), as far as the crop reaches."""
    affine = acquisition.affine()
    middle = np.linalg.solve(affine, [femur.neck_mm[0], depth_mm, femur.neck_mm[2], 1.0])[:3]
    index = int(np.clip(round(middle[0]), 0, acquisition.slices - 1))
    size = np.array([acquisition.rows, acquisition.columns])
    reach = REACH_MM / acquisition.pixel_mm
    low = np.clip(np.floor(middle[1:] - reach), 0, size - 1).astype(int)
    high = np.clip(np.ceil(middle[1:] + reach), low + 1, size).astype(int)
    hu = scanner.render(subject, acquisition, [index], *map(slice, low.tolist(), high.tolist()))
    x, y, z = (affine @ [index, *low, 1.0])[:3].tolist()
    pixel_mm = acquisition.pixel_mm
    return Plane(0, hu[0], (x, y, z), pixel_mm, pixel_mm, source_sop_uid=None)
