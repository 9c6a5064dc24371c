"""Volumes of the stress cases: a patient at rest, modified, cropped or rotated, or none."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tests.bench.finder_cases import acquire
from tests.bench.finder_measure import PADDING_HU, KnownHip, known_hips
from training.simulate.acquisition import View, sample_acquisition
from training.simulate.anatomy.arthrosis import with_advanced_arthrosis
from training.simulate.anatomy.femur import outline
from training.simulate.anatomy.frames import femur_frame
from training.simulate.geometry.shapes import rotation
from training.simulate.subject import Implant, Subject, sample_subject
from training.simulate.truth import truth
from worker.pipeline import reformat
from worker.pipeline.volume import Orientation, PointMm, Volume
from worker.pipeline.volume_layout import PLANE_DISTANCE_MM

SEED = 7777
PLAIN_SCAN = {
    "rows": 288, "thickness_mm": 3.0, "increment_mm": 3.0, "kernel": "standard", "kvp": 120,
    "noise_hu": 15.0, "reverse": False,
}  # fmt: skip

Scan = tuple[Volume, tuple[KnownHip, ...]]
Change = Callable[[Subject], Subject]


@cache
def scan(
    number: int, plane: Orientation = "coronal", view: View = "pelvis",
    change: Change | None = None,
    **fixed: Any,
) -> Scan:  # fmt: skip
    """Scan one patient at rest after a change; ``t_score`` and others are of the subject."""
    rng = np.random.default_rng([SEED, 100_000 + number])
    of_subject = {"t_score", "condition", "age_years", "sex", "weight_kg", "height_m"}
    who = {"t_score": -1.5} | {key: fixed.pop(key) for key in of_subject & set(fixed)}
    subject = sample_subject(rng, **who)
    pose = replace(subject.pose, prone=False, feet_first=False)
    if who.get("condition") != "arms":
        pose = replace(pose, arms_down=False)
    subject = replace(subject, pose=pose)
    subject = change(subject) if change else subject
    acquisition = sample_acquisition(rng, subject, plane, view, **PLAIN_SCAN | fixed)
    volume = acquire(subject, acquisition)
    return volume, known_hips(volume, truth(subject))


def with_pose(subject: Subject, **fields: Any) -> Subject:
    """Return the subject with a changed pose of the whole body."""
    return replace(subject, pose=replace(subject.pose, **fields))


def with_body(subject: Subject, **fields: Any) -> Subject:
    """Return the subject with a changed body."""
    return replace(subject, body=replace(subject.body, **fields))


def with_hips(subject: Subject, sides: str = "RL", **fields: Any) -> Subject:
    """Return the subject with changed hips on one or both sides."""
    right, left = (replace(h, **fields) if h.side in sides else h for h in subject.hips)
    return replace(subject, hips=(right, left))


def implanted(number: int, sides: str, implant: Implant) -> Scan:
    """Scan a patient with an implant on the given sides."""
    return scan(number, change=partial(with_hips, sides=sides, implant=implant))


def worn(subject: Subject) -> Subject:
    """Return the subject with advanced arthrosis on both sides."""
    return with_advanced_arthrosis(subject, np.random.default_rng(subject.seed))


def crop(part: Scan, rows: slice = slice(None), columns: slice = slice(None)) -> Scan:
    """Return a part of a volume with all hips marked as absent; the caller sets their view."""
    volume, hips = part
    first = (0, rows.start or 0, columns.start or 0)
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_mm(first)
    cut = Volume(np.ascontiguousarray(volume.hu[:, rows, columns]), affine)
    return cut, tuple(replace(hip, view="absent") for hip in hips)


def cut_beside(reach_mm: float) -> Scan:
    """Crop the volume ``reach_mm`` lateral of the center of each neck."""
    volume, hips = scan(1)
    necks = [volume.to_index(hip.neck_mm)[2] for hip in hips if hip.neck_mm]
    margin = reach_mm / volume.spacing_mm[2]
    low, high = round(min(necks) - margin), round(max(necks) + margin)
    return crop(scan(1), columns=slice(max(low, 0), high))


def cut_above() -> Scan:
    """Crop the upper half of both heads."""
    volume, hips = scan(1)
    top = round(max(volume.to_index(hip.center_mm)[1] for hip in hips))
    return crop(scan(1), rows=slice(top, None))


def mirrored_half() -> Scan:
    """Mirror the right half of the picture, which becomes a left half."""
    volume, hips = scan(1)
    middle = float(np.mean([hip.center_mm[0] for hip in hips]))
    column = round(float(volume.to_index((middle, *hips[0].center_mm[1:]))[2]))
    half, _ = crop(scan(1), columns=slice(None, column))
    width = half.hu.shape[2]
    at = half.to_index(hips[0].center_mm)
    at[2] = width - 1 - at[2]
    center = half.to_mm(at)
    hip = KnownHip("L", _point(center), hips[0].view)
    return Volume(np.ascontiguousarray(half.hu[:, :, ::-1]), half.affine), (hip,)


def without_left_femur() -> Scan:
    """Replace the left femur by muscle; the socket stays."""
    made: list[Subject] = []

    def keep(subject: Subject) -> Subject:
        made.append(subject)
        return subject

    volume, hips = scan(2, change=keep)
    subject, hu = made[0], volume.hu.copy()
    femur = femur_frame(subject, subject.hip("L"))
    rng = np.random.default_rng(SEED)
    for index in range(len(hu)):
        grid = np.indices(hu.shape[1:], dtype=np.float64).reshape(2, -1).T
        points = volume.to_mm(np.column_stack([np.full(len(grid), index), grid]))
        local = (points - femur.frame.origin) @ femur.frame.axes
        x, y, z = (axis.astype(np.float32).reshape(hu.shape[1:]) for axis in local.T)
        bone = (outline((x, y, z), subject.hip("L"), femur) < 2.0) & (hu[index] > PADDING_HU)
        hu[index][bone] = np.rint(rng.normal(50.0, 15.0, int(bone.sum())))
    return Volume(hu, volume.affine), tuple(hip for hip in hips if hip.side == "R")


def oblique(plane: Orientation, about_x: float, about_z: float) -> Scan:
    """Return the volume that the loader makes of slices oblique to the patient's axes."""
    turn = rotation(about_x, 0.0, about_z)

    def against(subject: Subject) -> Subject:
        x, y, z = subject.pose.rotation_deg
        return with_pose(subject, rotation_deg=(x - about_x, y, z - about_z))

    volume, hips = scan(3, plane, change=against)
    affine = np.eye(4)
    affine[:3, :3] = turn
    turned = reformat.canonical(Volume(volume.hu, affine @ volume.affine))
    spacing = (PLANE_DISTANCE_MM, *turned.spacing_mm[1:])
    return reformat.along_patient_axes(turned, spacing), tuple(
        replace(
            hip,
            center_mm=_point(turn @ hip.center_mm),
            neck_mm=_point(turn @ hip.neck_mm) if hip.neck_mm else None,
        )
        for hip in hips
    )


def empty(kind: Literal["noise", "air", "table"]) -> Scan:
    """Return a volume without a patient."""
    volume, _ = scan(1)
    rng = np.random.default_rng(SEED)
    mean, sd = (100.0, 400.0) if kind == "noise" else (-1000.0, 12.0)
    hu = rng.normal(mean, sd, (40, *volume.hu.shape[1:]))
    if kind == "table":
        hu[30:34, :, 20:-20] = rng.normal(-80.0, 40.0, hu[30:34, :, 20:-20].shape)
    return Volume(np.rint(hu).clip(-1024, 3071).astype(np.int16), volume.affine), ()


def _point(values: npt.ArrayLike) -> PointMm:
    x, y, z = (float(value) for value in np.asarray(values))
    return x, y, z
