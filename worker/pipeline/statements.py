"""What SR and SC both say about a screening, in the same words."""

import math

from worker.pipeline.capture_layout import turned_apart
from worker.pipeline.geometry import number_of, value_of
from worker.pipeline.results import (
    Grade,
    Hip,
    ModelInfo,
    NeckAttenuation,
    Plane,
    Reason,
    ReasonCode,
    Screening,
    Side,
)

SIDE_WORDS: dict[Side, str] = {"R": "right", "L": "left"}

LIMITATIONS = (
    "The grade estimates the WHO category of femoral DXA from the CT picture of the proximal "
    "femur. No T-score and no bone mineral density are measured: HU of contrast-enhanced CT "
    "are not calibrated. Nothing else was looked for, neither fracture nor lesion. "
    "The diagnosis needs DXA or another reference measurement."
)

# A runner-up of at least this share of the winner's probability makes the grade uncertain.
DOUBT_SHARE = 0.6

WORSE_HIP_RULE = "The patient's grade is that of the worse hip."


def notice(model: ModelInfo) -> str:
    """The one sentence that must never be missed."""
    if model.simulated:
        return (
            "Demonstration model, trained on simulated CT: it has never seen a patient. "
            "Not for clinical use."
        )
    return (
        "Automatic result, not reviewed by a physician. Research use only, not for diagnosis."
    )


def short_notice(model: ModelInfo) -> str:
    """The notice where a name has 64 characters: in lists of series."""
    return "DEMO, not for clinical use" if model.simulated else "RESEARCH, not for diagnosis"


def both_hips(screening: Screening) -> tuple[Hip, Hip]:
    """Right and left hip; a side that was not found says so instead of being silent."""
    found = {hip.side: hip for hip in screening.hips}
    right, left = (found.get(side) or _not_found(side) for side in SIDE_WORDS)
    return right, left


def _not_found(side: Side) -> Hip:
    text = f"No {SIDE_WORDS[side]} proximal femur was found in the field of view."
    return Hip(side=side, reason=Reason(ReasonCode.NO_FEMUR, text))


def graded_sides(screening: Screening) -> tuple[Side, ...]:
    """The sides that the patient's grade rests on."""
    return tuple(hip.side for hip in both_hips(screening) if hip.grade is not None)


def percents(hip: Hip, decimals: int) -> dict[Grade, float]:
    """Probabilities of a graded hip in %, rounded so that they sum to exactly 100.

    By largest remainders, the likelier grade first among equals: the order of the grades
    stays, and a sum of 101 % never makes a reader wonder.
    """
    probabilities = hip.probabilities or {}
    steps = 10**decimals
    exact = {grade: 100 * steps * float(probabilities[grade]) for grade in Grade}
    whole = {grade: math.floor(value) for grade, value in exact.items()}
    missing = 100 * steps - sum(whole.values())
    by_remainder = sorted(Grade, key=lambda g: (whole[g] - exact[g], -exact[g]))
    for grade in by_remainder[:missing]:
        whole[grade] += 1
    return {grade: value / steps for grade, value in whole.items()}


def hip_sentence(hip: Hip) -> str:
    """One hip in a few words: grade and its probability, or the reason why there is none."""
    side = SIDE_WORDS[hip.side].capitalize()
    if hip.grade is None:
        return f"{side} hip: NOT ASSESSABLE. {reason_text(hip)}"
    doubt = f", {words}" if (words := doubt_of(hip)) else ""
    percent = percents(hip, 0)[hip.grade]
    return f"{side} hip: {hip.grade.value}{doubt}, probability {percent:.0f} %."


def doubt_of(hip: Hip) -> str:
    """Words for a grade that another one comes near, nothing for a clear one."""
    if hip.grade is None:
        return ""
    chances = percents(hip, 1)
    second = max((g for g in Grade if g is not hip.grade), key=lambda grade: chances[grade])
    if chances[second] < DOUBT_SHARE * chances[hip.grade]:
        return ""
    return f"uncertain: may be {second.value}"


def reason_text(hip: Hip) -> str:
    """Why a hip is not assessable, as a sentence."""
    text = hip.reason.text if hip.reason else "no reason was recorded"
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def patient_sentence(screening: Screening) -> str:
    """The patient's grade and what it rests on: never both hips where one was not assessed."""
    sides = graded_sides(screening)
    if screening.grade is None:
        return "Patient: NOT ASSESSABLE (neither hip)."
    grades = {hip.grade for hip in both_hips(screening) if hip.grade is not None}
    if len(sides) == 1:
        basis = f"{SIDE_WORDS[sides[0]]} hip only"
    else:
        basis = "both hips" if len(grades) == 1 else "the worse hip"
    return f"Patient: {screening.grade.value} ({basis})."


def summary(screening: Screening) -> str:
    """The whole result in three sentences."""
    right, left = both_hips(screening)
    return f"{patient_sentence(screening)} {hip_sentence(right)} {hip_sentence(left)}"


def demographics(screening: Screening) -> str:
    """What the model knew of the patient, and what the source header lacks."""
    source = screening.headers[0]
    present = {
        "sex": value_of(source, "PatientSex"),
        "age": value_of(source, "PatientAge") or value_of(source, "PatientBirthDate"),
        "height": value_of(source, "PatientSize"),
        "weight": value_of(source, "PatientWeight"),
    }
    missing = [name for name, value in present.items() if not value]
    said = (
        "Image model only: demographics (sex, age, height, weight) were not used."
        if screening.model.modality == "image"
        else f"Model inputs: {screening.model.modality}."
    )
    absent = f" Not in the source header: {', '.join(missing)}." if missing else ""
    return said + absent


def neck_region(neck: NeckAttenuation) -> str:
    """How a reader gets the same attenuation again."""
    return (
        f"Mean and SD of the {neck.pixels} pixels whose centers lie inside of the region: "
        "trabecular bone between femoral head and trochanters, without cortex."
    )


def slice_name(screening: Screening, hip: Hip) -> str:
    """Where to find a hip's plane: the source's instance and frame number, or what a reformat
    is."""
    plane = hip.plane
    if plane is None:
        return ""
    if plane.source_sop_uid is None:
        turn = turn_deg(plane)
        name = f"coronal reformat {plane.index + 1}"
        return f"{name} turned by {turn:.0f}°" if turn >= 1 else name
    frame = "" if plane.source_frame is None else f" frame {plane.source_frame}"
    for header in screening.headers:
        number = number_of(header, "InstanceNumber")
        if header.get("SOPInstanceUID") == plane.source_sop_uid and number:
            return f"image {number:.0f}{frame}"
    return frame.strip() or f"slice {plane.index + 1}"


def turn_deg(plane: Plane) -> float:
    """The angle between a plane's rows and the patient's right-left axis, degrees."""
    x, y, z = plane.column_direction
    return math.degrees(math.atan2(math.hypot(y, z), x))


def separate_halves(screening: Screening) -> str:
    """What must be known of a picture of two planes that are turned apart, else nothing."""
    planes = [hip.plane for hip in both_hips(screening) if hip.grade and hip.plane]
    if not turned_apart(planes):
        return ""
    return (
        "Right and left half are reformatted separately, each along its femoral neck: "
        "measure within a half, not across the dashed line."
    )
