"""Whether a series meets the conditions of a published limit."""

from worker.pipeline import header_values
from worker.pipeline.lumbar_results import Conditions, LimitReading, Vertebra
from worker.pipeline.ranking.kernel import kernel_kind
from worker.pipeline.ranking.phase import contrast_phase
from worker.pipeline.spine.contrast_phase import shown_phase
from worker.pipeline.spine.published_limits import PublishedLimit, limits_of
from worker.pipeline.validation.monoenergetic import monoenergetic_warning
from worker.pipeline.volume import Series

# Headers hold rounded values.
KVP_TOLERANCE = 2.0
THICKNESS_TOLERANCE_MM = 0.1
# The accuracy is that of the limit, on whichever side of it a value is.
WORDS = "a limit {} for osteoporosis"


def conditions_of(series: Series, aorta_hu: float | None = None) -> Conditions:
    """Return how a series was acquired. Monoenergetic images have no tube voltage.

    ``aorta_hu`` : attenuation of the aorta, None where it is not seen.
    """
    header = series.headers[0]
    stated = header_values.number_of(header, "KVP")
    kvp = None if monoenergetic_warning(series) else stated
    return Conditions(
        kvp=kvp,
        thickness_mm=header_values.number_of(header, "SliceThickness"),
        kernel=kernel_kind(header),
        phase=shown_phase(contrast_phase(header), kvp, aorta_hu),
        aorta_hu=aorta_hu,
    )


def read_limits(
    vertebra: Vertebra, mean_hu: float, conditions: Conditions
) -> tuple[LimitReading, ...]:
    """Read a measurement by the limits of its level."""
    return tuple(_read_limit(limit, mean_hu, conditions) for limit in limits_of(vertebra.level))


def _read_limit(limit: PublishedLimit, mean_hu: float, conditions: Conditions) -> LimitReading:
    """Compare the rounded value, so that no reader sees another side of the limit."""
    shown = round(mean_hu)
    is_low = shown <= limit.limit_hu
    words = WORDS.format(limit.meaning)
    reading = f"{limit.level} {shown} HU: {'≤' if is_low else '>'} {limit.limit_hu:.0f} HU"
    return LimitReading(
        source=limit.citation,
        reading=f"{reading}, {words}",
        why_not=why_not(limit, conditions),
        author=limit.source,
        limit_hu=limit.limit_hu,
        is_low=is_low,
        meaning=limit.meaning,
    )


def why_not(limit: PublishedLimit, conditions: Conditions) -> str | None:
    """Return why a limit does not hold for a series, None where it does."""
    reasons = (
        _voltage(limit, conditions),
        _thickness(limit, conditions),
        "sharp reconstruction kernel" if conditions.kernel == "sharp" else None,
        f"{conditions.phase} phase" if conditions.phase in ("arterial", "late") else None,
    )
    found = [reason for reason in reasons if reason is not None]
    return "; ".join(found) or None


def is_voltage(conditions: Conditions, kvp: float) -> bool:
    """Return whether the header states this tube voltage."""
    return conditions.kvp is not None and abs(conditions.kvp - kvp) <= KVP_TOLERANCE


def _voltage(limit: PublishedLimit, conditions: Conditions) -> str | None:
    if conditions.kvp is None:
        return f"tube voltage not stated, {limit.kvp:.0f} kV needed"
    if not is_voltage(conditions, limit.kvp):
        return f"tube voltage {conditions.kvp:.0f} kV, {limit.kvp:.0f} kV needed"
    return None


def _thickness(limit: PublishedLimit, conditions: Conditions) -> str | None:
    needed = f"{limit.max_thickness_mm:.0f} mm or less needed"
    if conditions.thickness_mm is None:
        return f"slice thickness not stated, {needed}"
    if conditions.thickness_mm > limit.max_thickness_mm + THICKNESS_TOLERANCE_MM:
        return f"slice thickness {conditions.thickness_mm:.1f} mm, {needed}"
    return None
