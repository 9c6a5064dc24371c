"""Stress cases of the finder and its rules with their expected results.

Sagittal series and children never reach the finder: tests/unit and tests/integration.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from tests.bench import finder_scenes as scenes
from tests.bench.finder_measure import KnownHip, Outcome, measure
from tests.bench.finder_scenes import Scan, scan, with_body, with_hips, with_pose
from training.simulate.subject import Subject
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.volume import Side, Volume

RIGHT_ENOUGH_MM = 8.0
SIDES: tuple[Side, Side] = ("R", "L")

Expected = ReasonCode | Literal["accepted", "not accepted"]
METAL, NO_FEMUR = ReasonCode.METAL, ReasonCode.NO_FEMUR


@dataclass(frozen=True, slots=True)
class Stress:
    """A function that makes the volume, and the expected result of the right and left hip."""

    make: Callable[[], Scan]
    right: Expected
    left: Expected


def _chest(number: int, arms_down: bool, plane: Literal["coronal", "axial"], sex: str) -> Scan:
    change = partial(with_pose, arms_down=arms_down)
    return scan(number, plane, "chest", change, pixel_mm=1.7, sex=sex, t_score=-0.5)


def _full_of_contrast(subject: Subject) -> Subject:
    full = {"bladder": 1.25, "bladder_contrast": True, "oral_contrast": True}
    return with_body(subject, contrast_hu=180.0, **full)


def _none(make: Callable[[], Scan]) -> Stress:
    return Stress(make, NO_FEMUR, NO_FEMUR)


def _both(make: Callable[[], Scan]) -> Stress:
    return Stress(make, "accepted", "accepted")


def _neither(make: Callable[[], Scan]) -> Stress:
    return Stress(make, "not accepted", "not accepted")


CASES: dict[str, Stress] = {
    "shoulders, arms down, woman": _none(partial(_chest, 10, True, "coronal", "F")),
    "shoulders, arms down, man": _none(partial(_chest, 11, True, "coronal", "M")),
    "shoulders, arms down, axial": _none(partial(_chest, 12, True, "axial", "F")),
    "shoulders, arms raised": _none(partial(_chest, 13, False, "coronal", "M")),
    "knees": _none(partial(scan, 14, view="knees")),
    "hands beside the pelvis": _both(
        partial(scan, 15, view="abdomen-pelvis", condition="arms")
    ),
    "nail in the left hip": Stress(
        partial(scenes.implanted, 16, "L", "nail"), "accepted", METAL
    ),
    "nail in the right hip, axial": Stress(
        partial(scan, 17, "axial", change=partial(with_hips, sides="R", implant="nail")),
        METAL, "accepted",
    ),
    "prosthesis on the left": Stress(
        partial(scenes.implanted, 18, "L", "prosthesis"), "accepted", METAL
    ),
    "prostheses on both sides": Stress(
        partial(scenes.implanted, 19, "RL", "prosthesis"), METAL, METAL
    ),
    "screws in the right hip": Stress(
        partial(scenes.implanted, 20, "R", "screws"), METAL, "accepted"
    ),
    "bone on bone, both sides": _both(partial(scan, 21, change=scenes.worn)),
    "bone on bone, axial 5 mm": _both(
        partial(scan, 22, "axial", change=scenes.worn, thickness_mm=5.0, increment_mm=5.0)
    ),
    "bone on bone, old bone": _both(partial(scan, 23, change=scenes.worn, t_score=-3.8)),
    "contrast in bladder and bowel": _both(
        partial(scan, 24, view="abdomen-pelvis", kvp=80, change=_full_of_contrast)
    ),
    "calcified vessels": _both(
        partial(scan, 25, change=partial(with_body, calcification=1.5), age_years=84)
    ),
    "coronal, oblique by 12°": _both(partial(scenes.oblique, "coronal", 12.0, 0.0)),
    "coronal, turned by 12°": _both(partial(scenes.oblique, "coronal", 0.0, -12.0)),
    "axial, oblique by 12°": _both(partial(scenes.oblique, "axial", -12.0, 0.0)),
    "axial, turned by 12°": _both(partial(scenes.oblique, "axial", 0.0, 12.0)),
    "trochanters cut off": _neither(partial(scenes.cut_beside, 8.0)),
    "necks cut off": _neither(partial(scenes.cut_beside, -4.0)),
    "upper half of the heads cut off": _neither(scenes.cut_above),
    "thighs flexed by 25°": _both(
        partial(scan, 26, change=partial(with_hips, flexion_deg=25.0))
    ),
    "thighs flexed by 40°": _both(
        partial(scan, 27, change=partial(with_hips, flexion_deg=40.0))
    ),
    "right leg turned out by 45°": _both(
        partial(scan, 28, change=partial(with_hips, sides="R", rotation_deg=45.0))
    ),
    "very thin old bone": _both(
        partial(scan, 29, t_score=-4.5, age_years=91, sex="F", weight_kg=41.0)
    ),
    "very large patient, strong noise": _both(
        partial(scan, 30, weight_kg=150.0, height_m=1.7, noise_hu=25.0, streaks=1.0)
    ),
    "left femur missing": Stress(scenes.without_left_femur, "accepted", NO_FEMUR),
    "right half in a mirror": Stress(scenes.mirrored_half, NO_FEMUR, "accepted"),
    "feet first and prone": _both(
        partial(scan, 31, change=partial(with_pose, prone=True, feet_first=True))
    ),
    "slices from behind": _both(partial(scan, 1, reverse=True)),
    "pure noise": _none(partial(scenes.empty, "noise")),
    "empty air": _none(partial(scenes.empty, "air")),
    "table only": _none(partial(scenes.empty, "table")),
}  # fmt: skip


def run_case(name: str, folder: Path | None) -> Outcome:
    """Run the finder on one case."""
    volume, hips = _cached(name, folder) if folder else CASES[name].make()
    return measure(name, (), volume, hips)


def _cached(name: str, folder: Path) -> Scan:
    path = folder / f"stress {name}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        volume, hips = CASES[name].make()
        partial_path = path.with_suffix(".partial.npz")
        known = json.dumps([asdict(hip) for hip in hips])
        np.savez(partial_path, hu=volume.hu, affine=volume.affine, hips=known)
        partial_path.rename(path)
    with np.load(path) as kept:
        hips = tuple(KnownHip(**hip) for hip in json.loads(str(kept["hips"])))
        return Volume(kept["hu"], kept["affine"]), hips


def problems(outcome: Outcome) -> list[str]:
    """Return the differences of an outcome from the expected result of its case."""
    stress = CASES[outcome.name]
    found = [f"swapped {swap}" for swap in outcome.swaps]
    expected: Mapping[Side, Expected] = {"R": stress.right, "L": stress.left}
    for side in SIDES:
        reason, wanted = outcome.reasons[side], expected[side]
        if wanted == "accepted":
            found += _misplaced(outcome, side)
        elif reason is None or (wanted != "not accepted" and reason != wanted):
            found.append(f"{side} is {reason or 'accepted'}, expected {wanted}")
    return found


def _misplaced(outcome: Outcome, side: Side) -> list[str]:
    known = [each for each in outcome.hips if each.hip.side == side]
    if outcome.reasons[side] is not None:
        reason = known[0].reason if known else outcome.reasons[side]
        return [f"{side} not accepted: {reason}"]
    if not known or known[0].center_mm is None:
        return [f"{side} accepted where none is"]
    off = float(np.linalg.norm(known[0].center_mm))
    return [f"{side} head {off:.0f} mm off"] if off > RIGHT_ENOUGH_MM else []
