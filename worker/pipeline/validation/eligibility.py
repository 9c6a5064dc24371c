"""Rules for the series and hips that may be graded, one function a rule.

``images.check_images`` checks the headers before they are sorted. ``check_series`` checks the
sorted series, with the rules of ``stack``, and ``patient`` its patient; ``check_volume`` its
pixels; ``check_femurs`` the
geometry, when femurs were searched; ``check_hip`` and ``missing_hip`` one side, with the rules
of ``metal``, ``field_of_view`` and ``quality``. Every rule returns a ``Reason`` or a sentence
with what it measured, free of patient data.
``SERIES_REQUIRES`` and ``HIP_REQUIRES`` list all rules in the order of their application.
"""

from collections.abc import Iterable, Mapping, Sequence

from worker.pipeline import header_values
from worker.pipeline.reasons import Check, Reason, ReasonCode, RuleResult
from worker.pipeline.statements import SIDE_WORDS
from worker.pipeline.validation.field_of_view import MIN_SHARE_IN_VIEW, cut_off
from worker.pipeline.validation.geometry import implausible_geometry
from worker.pipeline.validation.hu_scale import not_hu_tissue, not_hu_values
from worker.pipeline.validation.images import IMAGES_RULES
from worker.pipeline.validation.interleaving import interleaved
from worker.pipeline.validation.metal import (
    CORE_HU,
    CORE_MM3,
    METAL_HU,
    METAL_MM3,
    metal_at_hip,
    metal_in_place_of_hip,
)
from worker.pipeline.validation.patient import PATIENT_RULES, PatientRules
from worker.pipeline.validation.quality import (
    MAX_HIP_NOISE_HU,
    MAX_VOLUME_NOISE_HU,
    MIN_TISSUE_ML,
    no_anatomy,
    too_noisy,
)
from worker.pipeline.validation.rules import (
    Rules,
    apply_rules,
    first_failure,
    requirements,
    to_check,
)
from worker.pipeline.validation.slice_consistency import inconsistent_slices
from worker.pipeline.validation.stack import (
    MAX_DEVIATION_MM,
    MAX_GANTRY_TILT_DEG,
    MAX_SLICE_SPACING_MM,
    MAX_UNEVENNESS,
    directions_of,
    gantry_tilt,
    gaps,
    repeated_positions,
    uneven_line,
)
from worker.pipeline.volume import Femur, Series, Side, Volume

MIN_SLICES = 10
MAX_OBLIQUITY_DEG = 20.0


def check_series(series: Series) -> tuple[Check, ...]:
    """Check the headers of a sorted series."""
    return apply_rules(SERIES_RULES, series)


def check_before_pixels(
    series: Series, refused: int, patients: PatientRules
) -> tuple[Check, ...]:
    """Check the headers of a sorted series, of which ``refused`` instances were refused."""
    checks = check_series(series)
    if first_failure(checks) is None:
        checks = (*checks, *apply_rules(PATIENT_RULES, series.headers, patients))
    return (*checks, to_check(RECEPTION, refused_instances(refused)))


def check_sample(
    sample: Series, count: int, refused: int, patients: PatientRules
) -> tuple[Check, ...]:
    """Check some sorted headers of a series of ``count`` slices."""
    return (
        to_check("orientation", unsuitable_orientation(sample)),
        to_check("slices", enough_slices(count)),
        *apply_rules(PATIENT_RULES, sample.headers, patients),
        to_check(RECEPTION, refused_instances(refused)),
    )


def too_few_slices(series: Series) -> RuleResult:
    """Require at least ``MIN_SLICES`` slices."""
    return enough_slices(len(series.headers))


def enough_slices(count: int) -> RuleResult:
    """Require a count of at least ``MIN_SLICES`` slices."""
    if count >= MIN_SLICES:
        return f"{count} slices."
    slices = "slice" if count == 1 else "slices"
    return Reason(
        ReasonCode.TOO_FEW_SLICES, f"{count} {slices}, at least {MIN_SLICES} are needed."
    )


def unsuitable_orientation(series: Series) -> RuleResult:
    """Require coronal or axial slices that lie near the patient's axes."""
    if series.orientation == "sagittal":
        return Reason(ReasonCode.ORIENTATION, "Sagittal slices; coronal or axial are needed.")
    angle = header_values.obliquity_deg(directions_of(series))
    if angle > MAX_OBLIQUITY_DEG:
        text = f"Oblique by {angle:.0f}°, at most {MAX_OBLIQUITY_DEG:.0f}° are accepted."
        return Reason(ReasonCode.ORIENTATION, text)
    return f"{series.orientation.capitalize()}, oblique by {angle:.1f}°."


def refused_instances(refused: int) -> RuleResult:
    """Reject a series of which ``refused`` instances were sent and are not here.

    The slices at an end may be missing, which no gap shows.
    """
    if refused == 0:
        return "None is known."
    instances = "instance was" if refused == 1 else "instances were"
    text = f"{refused} {instances} refused at reception and not sent again."
    return Reason(ReasonCode.GAPS, text)


def check_volume(volume: Volume) -> tuple[Check, ...]:
    """Check the pixels of a volume before femurs are searched in it."""
    return apply_rules(VOLUME_RULES, volume)


def check_femurs(volume: Volume, femurs: Sequence[Femur]) -> tuple[Check, ...]:
    """Check all femurs that were found, or the volume where there are none."""
    return apply_rules(FEMURS_RULES, volume, femurs)


def stretched(volume: Volume, femurs: Sequence[Femur]) -> RuleResult:
    """Reject an impossible geometry, except where metal alone rules out a grade.

    Streaks of metal change the image along some axes only, and the reader is told of the metal.
    """
    found = implausible_geometry(volume, femurs)
    if isinstance(found, Reason) and only_metal(volume, femurs):
        return "Not judged: every hip in view holds metal."
    return found


def only_metal(volume: Volume, femurs: Sequence[Femur]) -> bool:
    """Return whether each femur holds metal, or metal is in place of a hip without a femur."""
    if femurs:
        return all(isinstance(metal_at_hip(volume, femur), Reason) for femur in femurs)
    return any(metal_in_place_of_hip(volume, side, ()) is not None for side in SIDE_WORDS)


def check_hip(volume: Volume, femur: Femur) -> tuple[Check, ...]:
    """Check a femur that was found."""
    found = f"Head of {femur.radius_mm:.0f} mm radius, confidence {femur.confidence:.2f}."
    return (to_check(FEMUR, found), *apply_rules(HIP_RULES, volume, femur))


def missing_hip(volume: Volume, side: Side, found: Iterable[Femur]) -> tuple[Check, ...]:
    """Return the failed check of a side without a femur: a prosthesis, or nothing in view."""
    text = f"No {SIDE_WORDS[side]} femoral head with its neck was found in the field of view."
    reason = metal_in_place_of_hip(volume, side, found) or Reason(ReasonCode.NO_FEMUR, text)
    return (to_check(FEMUR, reason),)


SERIES_RULES: "Rules[[Series]]" = {
    "orientation": (
        f"coronal or axial, oblique by at most {MAX_OBLIQUITY_DEG:.0f}°", unsuitable_orientation
    ),
    "slices": (f"at least {MIN_SLICES} slices", too_few_slices),
    "positions": ("one image at each position", repeated_positions),
    "acquisitions": ("one acquisition, or several one after the other", interleaved),
    "gantry_tilt": (f"slices sheared by at most {MAX_GANTRY_TILT_DEG:.0f}°", gantry_tilt),
    "gaps": (
        f"at most {MAX_SLICE_SPACING_MM:.0f} mm apart, even within {MAX_UNEVENNESS:.0%}",
        gaps,
    ),
    "straight": (
        f"slices at most {MAX_DEVIATION_MM:.0f} mm beside the place of even steps", uneven_line
    ),
}  # fmt: skip
VOLUME_RULES: "Rules[[Volume]]" = {
    "values": ("air and dense tissue where Hounsfield units have them", not_hu_values),
    "slices_alike": ("each slice resembles its neighbors", inconsistent_slices),
    "hu": ("fat and muscle where Hounsfield units have them", not_hu_tissue),
    "anatomy": (
        f"at least {MIN_TISSUE_ML:.0f} ml of soft tissue, noise of at most "
        f"{MAX_VOLUME_NOISE_HU:.0f} HU in it",
        no_anatomy,
    ),
}
FEMURS_RULES: "Rules[[Volume, Sequence[Femur]]]" = {
    "proportions": (
        "spacing that gives heads and body human proportions, unless all hips hold metal",
        stretched,
    ),
}
HIP_RULES: "Rules[[Volume, Femur]]" = {
    "metal": (
        f"less than {CORE_MM3 / 1000:.2f} ml of {CORE_HU} HU inside of head and neck, "
        f"{METAL_MM3 / 1000:.2f} ml of {METAL_HU} HU in the bone or at the joint",
        metal_at_hip,
    ),
    "field_of_view": (
        f"{MIN_SHARE_IN_VIEW:.0%} of head, neck, trochanter and upper shaft in view", cut_off
    ),
    "noise": (f"at most {MAX_HIP_NOISE_HU:.0f} HU", too_noisy),
}  # fmt: skip
# Rules that the steps apply themselves, by their names in ``result.json``.
RECEPTION, FILES, COPIES, PIXELS = "reception", "files", "copies", "pixels"
FEMUR, FAMILIARITY = "femur", "familiarity"

SERIES_REQUIRES: Mapping[str, str] = {
    FILES: "every file is readable DICOM",
    **requirements(IMAGES_RULES),
    COPIES: "one SOP Instance UID for each image, or equal copies",
    **requirements(SERIES_RULES),
    **requirements(PATIENT_RULES),
    RECEPTION: "no instance was refused at reception",
    PIXELS: "every pixel can be decoded to HU",
    **requirements(VOLUME_RULES),
    **requirements(FEMURS_RULES),
}
HIP_REQUIRES: Mapping[str, str] = {
    FEMUR: "head and neck of a femur on this side",
    **requirements(HIP_RULES),
    FAMILIARITY: "a crop like those that the model was trained on",
}
