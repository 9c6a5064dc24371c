"""Sentences about the measurements of the lumbar spine that SR, SC and record share."""

from collections.abc import Iterable, Sequence

from worker.pipeline import wording
from worker.pipeline.lumbar_results import LimitReading, LumbarMeasurements, NotMeasured
from worker.pipeline.results import Grade, Screening


def lumbar_values(lumbar: LumbarMeasurements) -> str:
    """Return the values of all measured vertebrae, ``""`` where there is none."""
    found = lumbar.measured
    return ", ".join(
        wording.LUMBAR_VALUE.format(level=one.vertebra.level, hu=f"{region.mean_hu:.0f}")
        for one, region in found
    )


def lumbar_line(screening: Screening, *, short: bool = False) -> str:
    """Return the measurement with its limit in one short line, ``""`` without a value.

    A vertebra without a published limit is named where none with a limit is measured.
    ``short`` : of several reasons why the limit is not read, name the first.
    """
    lumbar = screening.lumbar
    if lumbar is None or not lumbar.measured:
        return ""
    found = _read(lumbar)
    if found is None:
        return wording.LUMBAR_NO_LIMIT.format(values=lumbar_values(lumbar))
    value, limit = found
    return _with_limit(value, limit, _first_reason(limit) if short else limit.why_not)


def reasons_not_read(screening: Screening) -> str:
    """Return why the limit is not read where ``lumbar_line`` shortens it, otherwise ``""``."""
    found = None if screening.lumbar is None else _read(screening.lumbar)
    if found is None:
        return ""
    _, limit = found
    if _first_reason(limit) == limit.why_not:
        return ""
    return wording.LIMIT_NOT_READ.format(author=limit.author, why_not=limit.why_not)


def _read(lumbar: LumbarMeasurements) -> tuple[str, LimitReading] | None:
    """Return the first measured vertebra that has limits, with the most telling of them."""
    for one, region in lumbar.measured:
        if one.limits:
            hu = f"{region.mean_hu:.0f}"
            value = wording.LUMBAR_VALUE.format(level=one.vertebra.level, hu=hu)
            return value, telling(one.limits)
    return None


def _first_reason(limit: LimitReading) -> str | None:
    if limit.why_not is None:
        return None
    first, _, others = limit.why_not.partition("; ")
    return wording.FIRST_OF_REASONS.format(reason=first) if others else first


def uncertain_line(lumbar: LumbarMeasurements | None) -> str:
    """Return the measurement of vertebrae without a certain level, ``""`` without one."""
    if lumbar is None or lumbar.uncertain is None:
        return ""
    number = len(lumbar.uncertain.regions)
    return wording.LUMBAR_UNCERTAIN.format(
        hu=f"{lumbar.uncertain.median_hu:.0f}",
        number=wording.ONE_VERTEBRA if number == 1 else wording.VERTEBRAE.format(number=number),
        doubt=lumbar.uncertain.doubt,
    )


def median_line(lumbar: LumbarMeasurements | None) -> str:
    """Return the median of the vertebrae of certain levels, ``""`` for fewer than two."""
    if lumbar is None or lumbar.median_hu is None or len(lumbar.hu) < 2:
        return ""
    return wording.LUMBAR_MEDIAN.format(
        levels=", ".join(lumbar.hu), hu=f"{lumbar.median_hu:.0f}"
    )


def telling(limits: Sequence[LimitReading]) -> LimitReading:
    """Return the lowest limit that a value does not exceed; above all of them, the highest."""
    low = [limit for limit in limits if limit.is_low]
    if low:
        return min(low, key=lambda limit: limit.limit_hu)
    return max(limits, key=lambda limit: limit.limit_hu)


def _with_limit(value: str, limit: LimitReading, why_not: str | None) -> str:
    if why_not is not None:
        return wording.LUMBAR_NOT_READ.format(value=value, author=limit.author, why_not=why_not)
    sign = "≤" if limit.is_low else ">"
    return wording.LUMBAR_READ.format(
        value=value, sign=sign, limit=f"{limit.limit_hu:.0f}", author=limit.author
    )


def lumbar_comments(screening: Screening) -> Iterable[str]:
    """Yield how the levels were found, and why a vertebra has no value."""
    lumbar = screening.lumbar
    if lumbar is None or not lumbar.measured:
        return
    yield lumbar.text
    for one in lumbar.measurements:
        if isinstance(one.vertebra.region, NotMeasured):
            yield wording.LUMBAR_NOT_MEASURED.format(
                level=one.vertebra.level, reason=one.vertebra.region.value
            )


def is_under_specific_limit(screening: Screening) -> bool:
    """Return whether a value is at or under the lowest limit of its level, which holds."""
    return any(
        limit.holds and limit.is_low and limit is min(limits, key=lambda one: one.limit_hu)
        for limits in _limits(screening)
        for limit in limits
    )


def contradiction(screening: Screening) -> str:
    """Return a sentence where grade and measurement contradict each other, otherwise ``""``.

    They do where the grade is normal and a value at or under the lowest limit of its level,
    and where the grade is osteoporosis and a value over all of them. Limits whose conditions
    are not met contradict nothing.
    """
    grade = screening.grade
    over_all = any(
        limits and all(limit.holds and not limit.is_low for limit in limits)
        for limits in _limits(screening)
    )
    if (grade is Grade.NORMAL and is_under_specific_limit(screening)) or (
        grade is Grade.OSTEOPOROSIS and over_all
    ):
        return wording.CONTRADICTION.format(grade=grade)
    return ""


def _limits(screening: Screening) -> list[Sequence[LimitReading]]:
    lumbar = screening.lumbar
    return [] if lumbar is None else [one.limits for one in lumbar.measurements if one.limits]
