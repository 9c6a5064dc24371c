"""Sentences about a screening that SR and SC share."""

import math

from common.dicom.patient_values import stated_text
from worker.pipeline.header_values import number_of
from worker.pipeline.plane_layout import differ_in_direction
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import Grade, Hip, ModelInfo, NeckAttenuation, Screening
from worker.pipeline.texts import SIDE_WORDS as SIDE_WORDS
from worker.pipeline.volume import Plane, Side

LIMITATIONS = (
    "The grade estimates the WHO category of femoral DXA from the CT picture of the proximal "
    "femur. No T-score and no bone mineral density are measured: HU of contrast-enhanced CT "
    "are not calibrated. Nothing else was looked for, neither fracture nor lesion. "
    "The diagnosis needs DXA or another reference measurement."
)

# The grade is uncertain where the second has at least this share of its probability.
UNCERTAIN_SHARE = 0.6

WORSE_HIP_RULE = "The patient's grade is that of the worse hip."


def notice(model: ModelInfo) -> str:
    """Return the sentence on the permitted use, which every output shows."""
    if model.simulated:
        return (
            "Demonstration model, trained on simulated CT: it has never seen a patient. "
            "Not for clinical use."
        )
    return (
        "Automatic result, not reviewed by a physician. Research use only, not for diagnosis."
    )


def short_notice(model: ModelInfo) -> str:
    """Return the notice for series descriptions, which have at most 64 characters."""
    return "DEMO, not for clinical use" if model.simulated else "RESEARCH, not for diagnosis"


def both_hips(screening: Screening) -> tuple[Hip, Hip]:
    """Return the right and the left hip; a missing side has a reason that says so."""
    found = {hip.side: hip for hip in screening.hips}
    right, left = (found.get(side) or _not_found(side) for side in SIDE_WORDS)
    return right, left


def _not_found(side: Side) -> Hip:
    text = f"No {SIDE_WORDS[side]} proximal femur was found in the field of view."
    return Hip(side=side, reason=Reason(ReasonCode.NO_FEMUR, text))


def graded_sides(screening: Screening) -> tuple[Side, ...]:
    """Return the sides from which the patient's grade was determined."""
    return tuple(hip.side for hip in both_hips(screening) if hip.grade is not None)


def percents(hip: Hip, decimals: int) -> dict[Grade, float]:
    """Return the probabilities of a graded hip in %, rounded so that they sum to 100.

    By largest remainders, the likelier grade first among equals, which keeps the order of the
    grades.
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
    """Return grade and probability of one hip, or the reason why it has none."""
    side = SIDE_WORDS[hip.side].capitalize()
    if hip.grade is None:
        return f"{side} hip: NOT ASSESSABLE. {reason_text(hip)}"
    doubt = f", {words}" if (words := uncertainty_remark(hip)) else ""
    percent = percents(hip, 0)[hip.grade]
    return f"{side} hip: {hip.grade.value}{doubt}, probability {percent:.0f} %."


def percent_text(probability: float) -> str:
    """Return a probability (0–1) in whole percent, the same in every output.

    Plain rounding; what would be 0 or 100 is ``<1 %`` or ``>99 %``, unless it is exactly so.
    """
    if 0 < probability < 0.005:
        return "<1 %"
    return ">99 %" if 0.995 <= probability < 1 else f"{100 * probability:.0f} %"


def second_grade(hip: Hip) -> Grade | None:
    """Return the grade that is nearly as likely as that of a hip, None where there is none."""
    if hip.grade is None or hip.probabilities is None:
        return None
    chances = hip.probabilities
    second = max((g for g in Grade if g is not hip.grade), key=lambda grade: chances[grade])
    return None if chances[second] < UNCERTAIN_SHARE * chances[hip.grade] else second


def uncertainty_remark(hip: Hip) -> str:
    """Return a remark where a second grade is nearly as likely, otherwise ``""``."""
    second = second_grade(hip)
    return "" if second is None else f"uncertain: may be {second.value}"


def reason_text(hip: Hip) -> str:
    """Return why a hip is not assessable, as a sentence."""
    text = hip.reason.text if hip.reason else "no reason was recorded"
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def patient_sentence(screening: Screening) -> str:
    """Return the patient's grade and the hips from which it was determined."""
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
    """Return the whole result in three sentences."""
    right, left = both_hips(screening)
    return f"{patient_sentence(screening)} {hip_sentence(right)} {hip_sentence(left)}"


def demographics(screening: Screening) -> str:
    """Return the inputs of the model, and which of them the source header lacks."""
    source = screening.source
    present = {
        "sex": stated_text(source, "PatientSex"),
        "age": stated_text(source, "PatientAge") or stated_text(source, "PatientBirthDate"),
        "height": stated_text(source, "PatientSize").strip("0."),  # 0: not entered
        "weight": stated_text(source, "PatientWeight").strip("0."),
    }
    missing = [name for name, value in present.items() if not value]
    inputs = (
        "Image model only: demographics (sex, age, height, weight) were not used."
        if screening.model.modality == "image"
        else f"Model inputs: {screening.model.modality}."
    )
    absent = f" Not in the source header: {', '.join(missing)}." if missing else ""
    return inputs + absent


def neck_region(neck: NeckAttenuation) -> str:
    """Return how the attenuation of the neck was measured."""
    return (
        f"Mean and SD of a region of {neck.volume_mm3 / 1000:.1f} cm³ in the volume: "
        "trabecular bone in the middle of the neck between femoral head and trochanters, "
        "without cortex. The outline is its projection on this plane."
    )


def plane_name(screening: Screening, hip: Hip) -> str:
    """Return the plane of a hip, with its series where the hips are of two."""
    name = _plane_name(screening, hip)
    number = number_of(screening.headers_of(hip)[0], "SeriesNumber")
    if not screening.is_composed or number is None:
        return name
    return f"series {number:.0f} {name}"


def _plane_name(screening: Screening, hip: Hip) -> str:
    """Return the source's instance and frame number of a hip's plane, or its reformat."""
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
    """Return the angle between a plane's rows and the patient's right-left axis, degrees."""
    x, y, z = plane.column_direction
    return math.degrees(math.atan2(math.hypot(y, z), x))


def separate_halves_remark(screening: Screening) -> str:
    """Return a remark on pictures of two planes of different directions, otherwise ``""``."""
    planes = [hip.plane for hip in both_hips(screening) if hip.grade and hip.plane]
    if screening.is_composed:
        return (
            "Right and left half are of two series: "
            "measure within a half, not across the dashed line."
        )
    if not differ_in_direction(planes):
        return ""
    return (
        "Right and left half are reformatted separately, each along its femoral neck: "
        "measure within a half, not across the dashed line."
    )
