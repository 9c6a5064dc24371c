"""Which series and which hips may be graded: one small function a reason.

``images`` has looked at the headers before they were sorted; ``check_series`` looks at a
sorted series, by the rules of ``stack`` too, ``check_volume`` at its pixels, ``check_hip`` and
``missing_hip`` at one side by the rules of ``metal``, ``field_of_view`` and ``quality``. Every
rule answers None or a ``Reason`` whose sentence carries the numbers and never patient data.
"""

from collections.abc import Callable, Iterable

from worker.pipeline import geometry
from worker.pipeline.demographics import age_by_dates_years, stated_age_years
from worker.pipeline.field_of_view import cut_off
from worker.pipeline.geometry import known
from worker.pipeline.metal import metal, metal_for_hip
from worker.pipeline.quality import drowned, no_anatomy
from worker.pipeline.results import Femur, Reason, ReasonCode, Series, Side, Volume
from worker.pipeline.stack import crooked, gantry_tilt, gaps, repeated_positions
from worker.pipeline.statements import SIDE_WORDS

MIN_SLICES = 10
MAX_OBLIQUITY_DEG = 20.0
MIN_AGE_YEARS = 18

SeriesRule = Callable[[Series], Reason | None]


def check_series(series: Series) -> Reason | None:
    """The first reason why a sorted series cannot be screened, or None."""
    return next((reason for rule in SERIES_RULES if (reason := rule(series))), None)


def too_few_slices(series: Series) -> Reason | None:
    """A volume needs slices."""
    count = len(series.headers)
    if count >= MIN_SLICES:
        return None
    slices = "slice" if count == 1 else "slices"
    return Reason(
        ReasonCode.TOO_FEW_SLICES, f"{count} {slices}, at least {MIN_SLICES} are needed."
    )


def orientation(series: Series) -> Reason | None:
    """Coronal or axial, near the patient's axes."""
    if series.orientation == "sagittal":
        return Reason(ReasonCode.ORIENTATION, "Sagittal slices; coronal or axial are needed.")
    angle = geometry.obliquity_deg(_directions(series))
    if angle > MAX_OBLIQUITY_DEG:
        text = f"Oblique by {angle:.0f}°, at most {MAX_OBLIQUITY_DEG:.0f}° are accepted."
        return Reason(ReasonCode.ORIENTATION, text)
    return None


def too_young(series: Series) -> Reason | None:
    """Growing bone is another question. Any header that says so counts; none is normal."""
    ds = series.headers[0]
    ages = (stated_age_years(ds), age_by_dates_years(ds))
    if any(age is not None and age < MIN_AGE_YEARS for age in ages):
        text = f"The patient is younger than {MIN_AGE_YEARS} years."
        return Reason(ReasonCode.TOO_YOUNG, text)
    return None


def check_volume(volume: Volume) -> Reason | None:
    """Why there is no point in looking for a femur, or None."""
    return no_anatomy(volume)


def check_hip(volume: Volume, femur: Femur) -> Reason | None:
    """The first reason why a femur that was found cannot be graded, or None."""
    return metal(volume, femur) or cut_off(volume, femur) or drowned(volume, femur)


def missing_hip(volume: Volume, side: Side, found: Iterable[Femur]) -> Reason:
    """Why one side has no femur: a prosthesis in its place, or none in the volume."""
    text = f"No {SIDE_WORDS[side]} femoral head with its neck was found in the field of view."
    return metal_for_hip(volume, side, found) or Reason(ReasonCode.NO_FEMUR, text)


SERIES_RULES: tuple[SeriesRule, ...] = (
    orientation, too_few_slices, repeated_positions, gantry_tilt, gaps, crooked, too_young
)  # fmt: skip


def _directions(series: Series) -> geometry.Array:
    return known(geometry.directions_of(series.headers[0]))
