"""Simulated patient: all properties that do not depend on the scan."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from training.simulate.density import (
    IODINE_OF_KVP,
    MINERAL_OF_KVP,
    BoneDensity,
    sample_density,
)
from worker.pipeline.grading import grade_of_t_score
from worker.pipeline.results import Grade
from worker.pipeline.volume import Side

Sex = Literal["F", "M"]
Implant = Literal["prosthesis", "nail", "screws"]
Condition = Literal["none", "metal", "metal-both", "osteoarthritis", "arms", "prone"]

SIDES: tuple[Side, Side] = ("R", "L")

# Ha 2024, Table 1: age mean, SD; share of women; BMI mean, SD.
DEMOGRAPHICS = {
    Grade.NORMAL: (36.6, 15.6, 0.728, 24.1, 4.4),
    Grade.OSTEOPENIA: (62.5, 11.9, 0.855, 24.5, 3.7),
    Grade.OSTEOPOROSIS: (76.5, 9.6, 0.784, 23.0, 3.7),
}
# T-scores within a grade: mean, SD, limits of a truncated normal (not stated in the paper).
T_SCORES = {
    Grade.NORMAL: (-0.1, 0.85, -1.0, 3.0),
    Grade.OSTEOPENIA: (-1.75, 0.6, -2.4999, -1.0001),
    Grade.OSTEOPOROSIS: (-3.1, 0.65, -5.0, -2.5),
}
# Means of the truncated distributions, on which age within a grade is centered.
T_CENTERS = {Grade.NORMAL: 0.2, Grade.OSTEOPENIA: -1.73, Grade.OSTEOPOROSIS: -3.27}


@dataclass(frozen=True, slots=True)
class HipAnatomy:
    """Anatomy of one hip and its leg. Angles in degrees, lengths in mm.

    ``rotation_deg`` : external rotation of the leg. ``adduction_deg`` : knee towards the
    middle. ``arthritis`` : 0 none – 1 severe; above 1, see ``anatomy.arthrosis``.
    """

    side: Side
    t_score: float
    density: BoneDensity
    head_radius_mm: float
    joint_gap_mm: float
    offset_mm: float
    neck_shaft_deg: float
    neck_width: float
    anteversion_deg: float
    shaft_radius_mm: float
    trochanter: float
    rotation_deg: float
    flexion_deg: float
    adduction_deg: float
    arthritis: float
    implant: Implant | None


@dataclass(frozen=True, slots=True)
class Pose:
    """Pose of the patient. Rotations of the whole body in degrees about x, y, z (LPS).

    ``position_mm`` : middle of the femoral heads (LPS). ``pelvic_tilt_deg`` : to the trunk.
    """

    rotation_deg: tuple[float, float, float]
    pelvic_tilt_deg: float
    position_mm: tuple[float, float, float]
    prone: bool
    feet_first: bool
    arms_down: bool


@dataclass(frozen=True, slots=True)
class Body:
    """Size and tissue of the body. ``scale`` : skeleton relative to an average woman (1.0)."""

    scale: float
    hip_distance_mm: float
    pelvis_width: float
    fat_mm: float
    visceral: float
    muscle: float
    muscle_hu: float
    muscle_fat: float
    fat_hu: float
    contrast_hu: float
    bladder: float
    bladder_contrast: bool
    oral_contrast: bool
    gas: float
    calcification: float

    @property
    def size(self) -> float:
        """Thickness relative to an average body (1.0), for noise and beam hardening."""
        return self.scale + (self.fat_mm - 18.0) / 60.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A patient. ``t_score`` is the worse hip's; ``seed`` determines what has no field here."""

    seed: int
    sex: Sex
    age_years: int
    height_m: float
    weight_kg: float
    t_score: float
    condition: Condition
    body: Body
    pose: Pose
    hips: tuple[HipAnatomy, HipAnatomy]

    @property
    def grade(self) -> Grade:
        """WHO grade of the patient's T-score."""
        return grade_of_t_score(self.t_score)

    @property
    def bmi(self) -> float:
        """Body mass index in kg/m²."""
        return self.weight_kg / self.height_m**2

    def hip(self, side: Side) -> HipAnatomy:
        """Return the hip of a side."""
        return self.hips[SIDES.index(side)]


def mineral_contrast(subject: Subject, kvp: int) -> float:
    """Return the HU of mineral relative to 120 kVp; a larger body hardens the beam."""
    return MINERAL_OF_KVP[kvp] * (1.0 - 0.09 * (subject.body.size - 1.0))


def marrow_enhancement(subject: Subject, kvp: int) -> float:
    """Return the HU that contrast medium adds to red marrow; fatty marrow gets half of it.

    Pompe 2015 (Eur Radiol 25:283–289): +18 HU at L1 in the portal phase; Pickhardt 2016
    (Osteoporos Int 27:147–152): +11 ± 19 HU.
    """
    return 0.14 * subject.body.contrast_hu * IODINE_OF_KVP[kvp]


def truncated(
    rng: np.random.Generator, mean: float, sd: float, low: float, high: float
) -> float:
    """Return a normal deviate within limits, by rejection; the clipped mean after 64 tries."""
    for _ in range(64):
        value = rng.normal(mean, sd)
        if low <= value <= high:
            return float(value)
    return float(np.clip(mean, low, high))


def sample_subject(rng: np.random.Generator, **fixed: Any) -> Subject:
    """Return a random patient; ``fixed`` : fields of ``Subject``, or ``grade``.

    T-score or grade selects the row of the paper's Table 1. Raises TypeError for unknown names.
    """
    unknown = set(fixed) - {field.name for field in fields(Subject)} - {"grade"}
    if unknown:
        raise TypeError(f"unknown: {', '.join(sorted(unknown))}")
    grade = Grade(fixed.pop("grade", tuple(Grade)[rng.integers(3)]))
    drawn = truncated(rng, *T_SCORES[grade])
    t_score = float(fixed.get("t_score", drawn))
    grade = grade_of_t_score(t_score)
    sex, age, height, weight = _demographics(rng, grade, t_score, fixed)
    condition: Condition = fixed.get("condition", "none")
    subject = Subject(
        seed=int(rng.integers(2**31)),
        sex=sex,
        age_years=age,
        height_m=height,
        weight_kg=weight,
        t_score=t_score,
        condition=condition,
        body=_body(rng, sex, age, height, weight / height**2),
        pose=_pose(rng, condition),
        hips=_hips(rng, sex, age, height, t_score, condition),
    )
    return replace(subject, **fixed)


def _demographics(
    rng: np.random.Generator, grade: Grade, t_score: float, fixed: dict[str, Any]
) -> tuple[Sex, int, float, float]:
    age_mean, age_sd, women, bmi_mean, bmi_sd = DEMOGRAPHICS[grade]
    t_sd = T_SCORES[grade][1]
    # Within a grade, too, older patients have less bone (a correlation of −0.3, invented).
    age_mean -= 0.3 * age_sd * float(np.clip((t_score - T_CENTERS[grade]) / t_sd, -2, 2))
    drawn_sex: Sex = "F" if rng.random() < women else "M"
    sex: Sex = fixed.get("sex", drawn_sex)
    age = int(fixed.get("age_years", round(_age(rng, age_mean, age_sd))))
    # Asian adults: women about 1.60 m, men about 1.73 m; older cohorts are shorter.
    height = (1.61 if sex == "F" else 1.74) - 0.0019 * max(age - 30, 0) + rng.normal(0, 0.055)
    height = float(fixed.get("height_m", round(height, 2)))
    bmi = truncated(rng, bmi_mean, bmi_sd, 15.5, 42.0)
    weight = float(fixed.get("weight_kg", round(bmi * height**2, 1)))
    return sex, age, height, weight


def _age(rng: np.random.Generator, mean: float, sd: float) -> float:
    """Return the age of an adult: a normal deviate, or a gamma deviate for means near 18."""
    above = mean - 18.0
    if above > 2.0 * sd:
        return truncated(rng, mean, sd, 18.0, 95.0)
    return float(np.clip(18.0 + rng.gamma((above / sd) ** 2, sd**2 / above), 18.0, 95.0))


# Quantities that depend on age scatter widely, as in patients, so that they do not reveal the
# grade.
def _body(rng: np.random.Generator, sex: Sex, age: int, height: float, bmi: float) -> Body:
    scale = (height / 1.60) ** 0.8 * rng.normal(1.0, 0.025)
    fat = (4.0 if sex == "M" else 9.0) + 1.5 * (bmi - 18.0) + rng.normal(0.0, 4.0)
    return Body(
        scale=float(scale),
        hip_distance_mm=float(169.0 * scale * rng.normal(1.0, 0.035)),
        pelvis_width=float((1.03 if sex == "F" else 0.99) * rng.normal(1.0, 0.03)),
        fat_mm=float(np.clip(fat, 3.0, 60.0)),
        visceral=float(np.clip((bmi - 16.0) / 14.0 + rng.normal(0, 0.2), 0.1, 1.6)),
        muscle=float(np.clip((1.0 if sex == "M" else 0.92) + 0.012 * (bmi - 23)
                             - 0.0016 * (age - 50) + rng.normal(0, 0.07), 0.72, 1.2)),
        muscle_hu=float(59.0 - 0.16 * max(age - 40, 0) + rng.normal(0.0, 7.0)),
        muscle_fat=float(np.clip(0.22 + 0.005 * (age - 40) + rng.normal(0, 0.18), 0.03, 0.85)),
        fat_hu=float(rng.normal(-103.0, 4.0)),
        # Portal phase (80 s), or no contrast medium in one of ten.
        contrast_hu=float(0.0 if rng.random() < 0.1 else np.clip(rng.normal(105, 25), 40, 190)),
        bladder=float(rng.uniform(0.35, 1.25)),
        bladder_contrast=bool(rng.random() < 0.15),
        oral_contrast=bool(rng.random() < 0.2),
        gas=float(rng.uniform(0.1, 1.0)),
        calcification=float(np.clip((age - 50) / 45 + rng.normal(0, 0.3), 0.0, 1.0)),
    )  # fmt: skip


def _pose(rng: np.random.Generator, condition: Condition) -> Pose:
    rotation = (rng.normal(0, 4.0), rng.normal(0, 3.5), rng.normal(0, 4.0))
    position = (rng.normal(0, 9), rng.normal(0, 14), rng.uniform(-900, 200))
    return Pose(
        rotation_deg=tuple(float(np.clip(value, -12, 12)) for value in rotation),  # type: ignore[arg-type]
        pelvic_tilt_deg=float(np.clip(rng.normal(0, 6), -16, 16)),
        position_mm=tuple(round(float(value), 1) for value in position),  # type: ignore[arg-type]
        prone=condition == "prone",
        feet_first=bool(rng.random() < 0.15),
        arms_down=condition == "arms" or bool(rng.random() < 0.08),
    )


def _hips(
    rng: np.random.Generator, sex: Sex, age: int, height: float, t_score: float,
    condition: Condition,
) -> tuple[HipAnatomy, HipAnatomy]:  # fmt: skip
    """Return two similar but not equal hips; the worse one has the patient's T-score."""
    size = (21.6 if sex == "F" else 24.6) * (height / (1.60 if sex == "F" else 1.73)) ** 0.7
    radius = size * rng.normal(1.0, 0.035)
    common = rng.standard_normal(6)
    worse = int(rng.integers(2))
    difference = abs(rng.normal(0.0, 0.3))
    chosen = int(rng.integers(2))
    metal = {"metal": (chosen,), "metal-both": (0, 1)}.get(condition, ())
    implants: tuple[Implant, ...] = ("prosthesis", "nail", "screws")
    hips = []
    for index, side in enumerate(SIDES):
        own = rng.standard_normal(6)
        mixed = 0.85 * common + 0.53 * own
        arthritis = float(np.clip(rng.normal(0.004 * (age - 55), 0.08), 0, 0.45))
        if condition == "osteoarthritis":
            arthritis = float(rng.uniform(0.6, 1.0))
        drawn = implants[int(rng.integers(3))]
        t_side = float(t_score if index == worse else min(t_score + difference, 4.0))
        hips.append(
            HipAnatomy(
                side=side,
                t_score=t_side,
                density=sample_density(rng, t_side, age),
                head_radius_mm=float(radius * (1 + 0.012 * own[0])),
                joint_gap_mm=float(max(3.1 + 0.45 * own[1] - 2.4 * arthritis, 0.6)),
                offset_mm=float(radius * (1.78 + 0.13 * mixed[0])),
                neck_shaft_deg=float(np.clip(127.5 + 5.0 * mixed[1], 112, 143)),
                neck_width=float(0.72 + 0.035 * mixed[2]),
                anteversion_deg=float(np.clip(13.0 + 7.5 * mixed[3], -6, 36)),
                shaft_radius_mm=float(radius * (0.615 + 0.03 * mixed[4])),
                trochanter=float(1.0 + 0.08 * mixed[5]),
                rotation_deg=float(np.clip(rng.normal(9, 10), -22, 38)),
                flexion_deg=float(np.clip(rng.normal(4, 5), -8, 24)),
                adduction_deg=float(np.clip(rng.normal(5, 4.5), -14, 16)),
                arthritis=arthritis,
                implant=drawn if index in metal else None,
            )
        )
    return hips[0], hips[1]
