"""The cases of the accuracy suite: simulated volumes of the full range, with known truth.

One of three shows the abdomen only and has no hip. The others cycle through state, posture,
scope and plane, so that a run of any length holds all of them; all else is random. A case
depends on seed and number only.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from training.simulate.acquisition import Acquisition, View, sample_acquisition
from training.simulate.anatomy.arthrosis import with_advanced_arthrosis
from training.simulate.scanner import render, render_volume
from training.simulate.subject import Condition, Subject, sample_subject
from worker.pipeline import reformat
from worker.pipeline.volume import Orientation, Volume
from worker.pipeline.volume_layout import PLANE_DISTANCE_MM

ABDOMEN_EVERY = 3
State = Literal[
    "plain", "osteoarthritis", "advanced-osteoarthritis", "arms", "metal", "metal-both"
]
Posture = Literal["rest", "prone", "flexed", "rotated", "rolled"]
Scope = Literal["whole", "pelvis", "one-hip", "wide", "narrow"]

STATES: tuple[State, ...] = (
    "plain", "advanced-osteoarthritis", "plain", "arms", "plain", "osteoarthritis", "plain",
    "metal", "plain", "advanced-osteoarthritis", "plain", "plain", "metal-both",
)  # fmt: skip
POSTURES: tuple[Posture, ...] = (
    "rest", "rest", "prone", "rest", "flexed", "rest", "rotated", "rest", "rest", "rolled",
    "rest",
)  # fmt: skip
SCOPES: tuple[Scope, ...] = ("whole", "pelvis", "whole", "one-hip", "wide", "whole", "narrow")
PLANES: tuple[Orientation, ...] = ("coronal", "axial", "coronal", "coronal", "axial")
THICKNESS_MM = {
    "coronal": (1.0, 1.5, 2.0, 2.5, 3.0, 3.0, 4.0, 5.0),
    "axial": (0.6, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0),
}
CONDITIONS: dict[State, Condition] = {
    "osteoarthritis": "osteoarthritis",
    "metal": "metal",
    "metal-both": "metal-both",
    "arms": "arms",
}
VIEWS: dict[Scope, View] = {
    "whole": "abdomen-pelvis",
    "wide": "abdomen-pelvis",
    "pelvis": "pelvis",
    "narrow": "pelvis",
    "one-hip": "one-hip",
}
# Order of the groups in a table.
GROUPS = tuple(dict.fromkeys((*PLANES, "abdomen", *SCOPES, *STATES, *POSTURES, "feet-first")))
# The finder works at 2 mm, so the matrix hardly matters: one in ten is full, to save time.
ROWS, WIDE_ROWS, FULL_ROWS, FULL_EVERY = 320, 400, 512, 10
# More slices than this are thinned out to twice the increment.
MOST_SLICES = 450


@dataclass(frozen=True, slots=True)
class Case:
    """One volume: patient and scan; ``tags`` are the groups in which it counts."""

    name: str
    tags: tuple[str, ...]
    subject: Subject
    acquisition: Acquisition

    @property
    def digest(self) -> str:
        """Name of the volume in a cache, which does not depend on the simulator's code."""
        text = repr((self.subject, self.acquisition))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def plan(count: int, seed: int) -> list[Case]:
    """Return ``count`` cases; a longer plan begins with the shorter one."""
    hips = abdomens = 0
    cases = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        if number % ABDOMEN_EVERY == 0:
            cases.append(_abdomen(rng, number, abdomens))
            abdomens += 1
        else:
            cases.append(_hips(rng, number, hips))
            hips += 1
    return cases


def _abdomen(rng: np.random.Generator, number: int, turn: int) -> Case:
    """Return a scan that ends at the iliac wings; half of the patients have their arms down."""
    condition: Condition = "arms" if turn % 2 else "none"
    subject = _filled(rng, sample_subject(rng, condition=condition))
    plane = PLANES[turn % len(PLANES)]
    acquisition = _scan(rng, subject, plane, "abdomen", _rows(number))
    tags = (plane, "abdomen", *(("arms",) if subject.pose.arms_down else ()))
    return Case(f"{number:03d} {' '.join(tags)}", tags, subject, acquisition)


def _hips(rng: np.random.Generator, number: int, turn: int) -> Case:
    state, posture = STATES[turn % len(STATES)], POSTURES[turn % len(POSTURES)]
    scope, plane = SCOPES[turn % len(SCOPES)], PLANES[turn % len(PLANES)]
    condition = CONDITIONS.get(state, "none")
    subject = _filled(rng, sample_subject(rng, condition=condition))
    if state == "advanced-osteoarthritis":
        subject = with_advanced_arthrosis(subject, rng, ("R", "L", "RL")[rng.integers(3)])
    subject = pose(rng, subject, posture)
    extra: dict[str, Any] = {}
    if scope == "wide":
        extra = {"pixel_mm": 500 / WIDE_ROWS}
    elif scope == "narrow":
        extra = {"pixel_mm": round(float(rng.uniform(260, 330)) / ROWS, 4)}
    rows = WIDE_ROWS if scope == "wide" else ROWS if scope == "narrow" else _rows(number)
    acquisition = _scan(rng, subject, plane, VIEWS[scope], rows, **extra)
    tags: tuple[str, ...] = (plane, state, posture, scope)
    tags += ("feet-first",) if subject.pose.feet_first else ()
    return Case(f"{number:03d} {' '.join(tags)}", tags, subject, acquisition)


def _rows(number: int) -> int:
    return FULL_ROWS if number % FULL_EVERY == 0 else ROWS


def _filled(rng: np.random.Generator, subject: Subject) -> Subject:
    """Add contrast medium in bladder and bowel and calcium in vessels more often than usual."""
    body = replace(
        subject.body,
        bladder_contrast=bool(rng.random() < 0.35),
        oral_contrast=bool(rng.random() < 0.4),
        calcification=float(rng.uniform(0.7, 1.3))
        if rng.random() < 0.25
        else subject.body.calcification,
    )
    return replace(subject, body=body)


def pose(rng: np.random.Generator, subject: Subject, posture: Posture) -> Subject:
    """Return the patient in a posture; a quarter of all lie feet first."""
    patient = replace(subject.pose, feet_first=bool(rng.random() < 0.25))
    right, left = subject.hips
    if posture == "prone":
        patient = replace(patient, prone=True)
    elif posture == "rolled":
        x, y, z = patient.rotation_deg
        turned = float(rng.choice([-1, 1]) * rng.uniform(10, 18))
        patient = replace(patient, rotation_deg=(x, y, z + turned))
    elif posture == "flexed":
        bent = float(rng.uniform(20, 38))
        right, left = (
            replace(hip, flexion_deg=bent + float(rng.normal(0, 3))) for hip in (right, left)
        )
    elif posture == "rotated":
        right, left = (
            replace(hip, rotation_deg=float(rng.uniform(28, 45))) for hip in (right, left)
        )
    return replace(subject, pose=patient, hips=(right, left))


def _scan(
    rng: np.random.Generator, subject: Subject, plane: Orientation, view: View, rows: int,
    **fixed: Any,
) -> Acquisition:  # fmt: skip
    """Return the scan; a third of those with thicker slices have overlapping ones."""
    choices = THICKNESS_MM[plane]
    thickness = choices[int(rng.integers(len(choices)))]
    overlap = 0.8 if thickness >= 2 and rng.random() < 0.33 else 1.0
    fixed |= {"rows": rows, "thickness_mm": thickness, "increment_mm": thickness * overlap}
    state = rng.bit_generator.state
    acquisition = sample_acquisition(rng, subject, plane, view, **fixed)
    if acquisition.slices > MOST_SLICES:
        rng.bit_generator.state = state
        fixed["increment_mm"] = 2 * thickness * overlap
        acquisition = sample_acquisition(rng, subject, plane, view, **fixed)
    return acquisition


def acquire(subject: Subject, acquisition: Acquisition) -> Volume:
    """Return the canonical volume that the loader would return, without files."""
    if acquisition.plane == "coronal":
        return render_volume(subject, acquisition)
    affine = acquisition.affine()
    thickness = max(1, round(PLANE_DISTANCE_MM / float(np.linalg.norm(affine[:3, 1]))))
    slabs = [
        reformat.slab_means(image.astype(np.float32), thickness)
        for image in render(subject, acquisition)
    ]
    hu = np.rint(np.stack(slabs)).astype(np.int16)
    volume = reformat.canonical(Volume(hu, affine @ reformat.slab_grid(thickness, 0)))
    return reformat.resample_rows(volume, volume.spacing_mm[2])


def cached(folder: Path | None, name: str, make: Callable[[], Volume]) -> Volume:
    """Return the volume of a name from the folder, or make and store it."""
    if folder is None:
        return make()
    path = folder / f"{name}.npz"
    if path.exists():
        with np.load(path) as kept:
            return Volume(kept["hu"], kept["affine"])
    volume = make()
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, hu=volume.hu, affine=volume.affine)
    partial.rename(path)
    return volume


def volume_of(case: Case, folder: Path | None) -> Volume:
    """Return the volume of a case."""
    name = f"{case.name.split()[0]}-{case.digest}"
    return cached(folder, name, lambda: acquire(case.subject, case.acquisition))
