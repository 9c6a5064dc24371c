"""Which series and which hips may be graded: one small function a rule.

``images`` has looked at the headers before they were sorted; ``check_series`` looks at a
sorted series, by the rules of ``stack`` too, ``check_volume`` at its pixels, ``check_hip`` and
``missing_hip`` at one side by the rules of ``metal``, ``field_of_view`` and ``quality``. Every
rule answers a ``Reason`` or what it found, in a sentence with the numbers and never patient
data. ``SERIES_REQUIRES`` and ``HIP_REQUIRES`` list all rules in the order in which they are
asked.
"""

from collections.abc import Iterable, Mapping

from worker.pipeline import geometry
from worker.pipeline.checks import Rules, ask, check, required_by
from worker.pipeline.demographics import age_by_dates_years, stated_age_years
from worker.pipeline.field_of_view import MOST, cut_off
from worker.pipeline.geometry import known
from worker.pipeline.images import IMAGES_RULES
from worker.pipeline.metal import CORE_HU, CORE_MM3, METAL_HU, METAL_MM3, metal, metal_for_hip
from worker.pipeline.quality import (
    DROWNED_HU,
    MIN_TISSUE_ML,
    NOTHING_SEEN_HU,
    drowned,
    no_anatomy,
)
from worker.pipeline.results import (
    Check,
    Femur,
    Reason,
    ReasonCode,
    Series,
    Side,
    Verdict,
    Volume,
)
from worker.pipeline.stack import (
    MAX_DEVIATION_MM,
    MAX_GANTRY_TILT_DEG,
    MAX_SLICE_SPACING_MM,
    MAX_UNEVENNESS,
    crooked,
    gantry_tilt,
    gaps,
    repeated_positions,
)
from worker.pipeline.statements import SIDE_WORDS

MIN_SLICES = 10
MAX_OBLIQUITY_DEG = 20.0
MIN_AGE_YEARS = 18


def check_series(series: Series) -> tuple[Check, ...]:
    """Whether a sorted series can be screened, by its headers."""
    return ask(SERIES_RULES, series)


def too_few_slices(series: Series) -> Verdict:
    """A volume needs slices."""
    count = len(series.headers)
    if count >= MIN_SLICES:
        return f"{count} slices."
    slices = "slice" if count == 1 else "slices"
    return Reason(
        ReasonCode.TOO_FEW_SLICES, f"{count} {slices}, at least {MIN_SLICES} are needed."
    )


def orientation(series: Series) -> Verdict:
    """Coronal or axial, near the patient's axes."""
    if series.orientation == "sagittal":
        return Reason(ReasonCode.ORIENTATION, "Sagittal slices; coronal or axial are needed.")
    angle = geometry.obliquity_deg(_directions(series))
    if angle > MAX_OBLIQUITY_DEG:
        text = f"Oblique by {angle:.0f}°, at most {MAX_OBLIQUITY_DEG:.0f}° are accepted."
        return Reason(ReasonCode.ORIENTATION, text)
    return f"{series.orientation.capitalize()}, oblique by {angle:.1f}°."


def too_young(series: Series) -> Verdict:
    """Growing bone is another question. Any header that says so counts; none is normal."""
    ds = series.headers[0]
    ages = (stated_age_years(ds), age_by_dates_years(ds))
    if any(age is not None and age < MIN_AGE_YEARS for age in ages):
        text = f"The patient is younger than {MIN_AGE_YEARS} years."
        return Reason(ReasonCode.TOO_YOUNG, text)
    return "No header says younger."  # nor does this say how old


def check_volume(volume: Volume) -> tuple[Check, ...]:
    """Whether there is a point in looking for a femur."""
    return ask(VOLUME_RULES, volume)


def check_hip(volume: Volume, femur: Femur) -> tuple[Check, ...]:
    """Whether a femur that was found can be graded."""
    found = f"Head of {femur.radius_mm:.0f} mm radius, confidence {femur.confidence:.2f}."
    return (check(FEMUR, found), *ask(HIP_RULES, volume, femur))


def missing_hip(volume: Volume, side: Side, found: Iterable[Femur]) -> tuple[Check, ...]:
    """Why one side has no femur: a prosthesis in its place, or none in the volume."""
    text = f"No {SIDE_WORDS[side]} femoral head with its neck was found in the field of view."
    reason = metal_for_hip(volume, side, found) or Reason(ReasonCode.NO_FEMUR, text)
    return (check(FEMUR, reason),)


SERIES_RULES: "Rules[[Series]]" = {
    "orientation": (
        f"coronal or axial, oblique by at most {MAX_OBLIQUITY_DEG:.0f}°", orientation
    ),
    "slices": (f"at least {MIN_SLICES} slices", too_few_slices),
    "positions": ("one image at each position", repeated_positions),
    "gantry_tilt": (f"slices sheared by at most {MAX_GANTRY_TILT_DEG:.0f}°", gantry_tilt),
    "gaps": (
        f"at most {MAX_SLICE_SPACING_MM:.0f} mm apart, even within {MAX_UNEVENNESS:.0%}",
        gaps,
    ),
    "straight": (
        f"slices at most {MAX_DEVIATION_MM:.0f} mm beside the place of even steps", crooked
    ),
    "age": (f"at least {MIN_AGE_YEARS} years", too_young),
}  # fmt: skip
VOLUME_RULES: "Rules[[Volume]]" = {
    "anatomy": (
        f"at least {MIN_TISSUE_ML:.0f} ml of soft tissue, noise of at most "
        f"{NOTHING_SEEN_HU:.0f} HU in it",
        no_anatomy,
    ),
}
HIP_RULES: "Rules[[Volume, Femur]]" = {
    "metal": (
        f"less than {CORE_MM3 / 1000:.2f} ml of {CORE_HU} HU inside of head and neck, "
        f"{METAL_MM3 / 1000:.2f} ml of {METAL_HU} HU in the bone or at the joint",
        metal,
    ),
    "field_of_view": (
        f"{MOST:.0%} of head, neck, trochanter and upper shaft in view", cut_off
    ),
    "noise": (f"at most {DROWNED_HU:.0f} HU", drowned),
}  # fmt: skip
FILES, PIXELS, FEMUR, FAMILIARITY = "files", "pixels", "femur", "familiarity"

SERIES_REQUIRES: Mapping[str, str] = {
    FILES: "every file is readable DICOM",
    **required_by(IMAGES_RULES),
    **required_by(SERIES_RULES),
    PIXELS: "every pixel can be decoded to HU",
    **required_by(VOLUME_RULES),
}
HIP_REQUIRES: Mapping[str, str] = {
    FEMUR: "head and neck of a femur on this side",
    **required_by(HIP_RULES),
    FAMILIARITY: "a crop like those that the model was trained on",
}


def _directions(series: Series) -> geometry.Array:
    return known(geometry.directions_of(series.headers[0]))
