"""Sentences about a screening that SR and SC share."""

import math
from collections.abc import Mapping, Sequence

from pydicom import Dataset

from common.dicom.patient_values import stated_text
from worker.pipeline import wording
from worker.pipeline.header_values import number_of
from worker.pipeline.image_numbers import image_number, neck_slice, source_slice
from worker.pipeline.measurement_only import is_measured_hip
from worker.pipeline.plane_layout import differ_in_direction
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import MEASUREMENT, Grade, Hip, ModelInfo, Screening
from worker.pipeline.volume import Plane, Side
from worker.pipeline.wording import SIDE_WORDS as SIDE_WORDS

# The grade is uncertain where the second has at least this share of its probability.
UNCERTAIN_SHARE = 0.6


def notice(model: ModelInfo) -> str:
    """Return the sentence on the permitted use, which every output shows."""
    return wording.DEMONSTRATION_NOTICE if model.simulated else wording.RESEARCH_NOTICE


def short_notice(model: ModelInfo) -> str:
    """Return the notice for series descriptions, which have at most 64 characters."""
    return (
        wording.SHORT_DEMONSTRATION_NOTICE if model.simulated else wording.SHORT_RESEARCH_NOTICE
    )


def both_hips(screening: Screening) -> tuple[Hip, Hip]:
    """Return the right and the left hip; a missing side has a reason that says so."""
    found = {hip.side: hip for hip in screening.hips}
    right, left = (found.get(side) or _not_found(side) for side in SIDE_WORDS)
    return right, left


def _not_found(side: Side) -> Hip:
    text = wording.HIP_NOT_FOUND.format(side=SIDE_WORDS[side])
    return Hip(side=side, reason=Reason(ReasonCode.NO_FEMUR, text))


def graded_sides(screening: Screening) -> tuple[Side, ...]:
    """Return the sides from which the patient's grade was determined."""
    return tuple(hip.side for hip in both_hips(screening) if hip.grade is not None)


def hip_sentence(hip: Hip) -> str:
    """Return grade and probability of one hip, or the reason why it has none."""
    side = SIDE_WORDS[hip.side].capitalize()
    if hip.grade is None or hip.probabilities is None:
        words = (
            wording.HIP_WITHOUT_GRADE if is_measured_hip(hip) else wording.HIP_WITHOUT_RESULT
        )
        return words.format(side=side, reason=reason_text(hip))
    doubt = f", {words}" if (words := uncertainty_remark(hip)) else ""
    percent = percent_text(hip.probabilities[hip.grade])
    return wording.HIP_RESULT.format(side=side, grade=hip.grade, doubt=doubt, percent=percent)


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
    return nearly_as_likely(hip.grade, hip.probabilities)


def nearly_as_likely(grade: Grade, chances: Mapping[Grade, float]) -> Grade | None:
    """Return the grade that is nearly as likely as ``grade``, None where there is none."""
    second = max((g for g in Grade if g is not grade), key=lambda one: chances[one])
    return None if chances[second] < UNCERTAIN_SHARE * chances[grade] else second


def uncertainty_remark(hip: Hip) -> str:
    """Return a remark where a second grade is nearly as likely, otherwise ``""``."""
    return remark_on(second_grade(hip))


def remark_on(second: Grade | None) -> str:
    """Return the remark on a second grade that is nearly as likely, ``""`` for None."""
    return "" if second is None else wording.MAY_BE.format(grade=second)


def reason_text(hip: Hip) -> str:
    """Return why a hip is not assessable, as a sentence."""
    text = hip.reason.text if hip.reason else wording.NO_REASON
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def limitations(screening: Screening) -> str:
    """Return what a result does not say."""
    return (
        wording.MEASUREMENT_LIMITATIONS
        if screening.model == MEASUREMENT
        else wording.LIMITATIONS
    )


def demographics(screening: Screening) -> str:
    """Return the inputs of the model, and which of them the source header lacks."""
    if screening.model == MEASUREMENT:
        return wording.NO_MODEL_USED
    source = screening.source
    present = {
        "sex": stated_text(source, "PatientSex"),
        "age": stated_text(source, "PatientAge") or stated_text(source, "PatientBirthDate"),
        "height": stated_text(source, "PatientSize").strip("0."),  # 0: not entered
        "weight": stated_text(source, "PatientWeight").strip("0."),
    }
    missing = [name for name, value in present.items() if not value]
    inputs = (
        wording.IMAGE_MODEL_ONLY
        if screening.model.modality == "image"
        else wording.MODEL_INPUTS.format(inputs=screening.model.modality)
    )
    absent = wording.NOT_IN_HEADER.format(names=", ".join(missing)) if missing else ""
    return inputs + absent


def images_read(screening: Screening) -> str:
    """Return the images that were read, of reformatted planes also those through the necks."""
    names = {
        hip.side: name_with_neck(screening, hip)
        for hip in both_hips(screening)
        if hip.grade is not None
    }
    if not names:
        return ""
    if len(names) == 2 and len(set(names.values())) == 1:
        return wording.IMAGES_READ.format(images=f"{wording.BOTH_HIPS} {names['R']}")
    each = (
        f"{wording.HIP.format(side=SIDE_WORDS[side])} {name}" for side, name in names.items()
    )
    return wording.IMAGES_READ.format(images="; ".join(each))


def name_with_neck(screening: Screening, hip: Hip) -> str:
    """Return the plane of a hip, and where it was reformatted the image through the neck."""
    name, header = plane_name(screening, hip), neck_slice(screening, hip)
    if header is None:
        return name
    image = _image_name(screening.headers_of(hip), header)
    return wording.NECK_ON_IMAGE.format(name=name, image=image)


def plane_name(screening: Screening, hip: Hip) -> str:
    """Return the plane of a hip, with its series where the hips are of two."""
    name = _plane_name(screening, hip)
    number = number_of(screening.headers_of(hip)[0], "SeriesNumber")
    if not screening.is_composed or number is None:
        return name
    return wording.OF_SERIES.format(number=f"{number:.0f}", name=name)


def _plane_name(screening: Screening, hip: Hip) -> str:
    """Return the number of the image that a hip's plane is, or of its reformat."""
    plane = hip.plane
    if plane is None:
        return ""
    headers = screening.headers_of(hip)
    if (header := source_slice(headers, plane)) is not None:
        return _image_name(headers, header)
    name = wording.REFORMAT.format(number=plane.index + 1)
    turn = turn_deg(plane)
    return wording.TURNED.format(name=name, degrees=f"{turn:.0f}") if turn >= 1 else name


def _image_name(headers: Sequence[Dataset], header: Dataset) -> str:
    return wording.IMAGE.format(number=image_number(headers, header))


def turn_deg(plane: Plane) -> float:
    """Return the angle between a plane's rows and the patient's right-left axis, degrees."""
    x, y, z = plane.column_direction
    return math.degrees(math.atan2(math.hypot(y, z), x))


def separate_halves_remark(screening: Screening) -> str:
    """Return a remark on pictures of two planes of different directions, otherwise ``""``."""
    planes = [hip.plane for hip in both_hips(screening) if hip.grade and hip.plane]
    if screening.is_composed:
        return wording.TWO_SERIES
    return wording.TWO_DIRECTIONS if differ_in_direction(planes) else ""
