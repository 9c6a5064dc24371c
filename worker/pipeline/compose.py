"""Composition of the result of a study from the results of its series.

One series that grades both hips gives the result alone. Otherwise each side is that of the
highest-ranked series that grades it. Metal that any series shows at a side rules it out there.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pydicom import Dataset

from worker.pipeline.grading import worse_grade
from worker.pipeline.header_values import uid_of
from worker.pipeline.measurement_only import is_measured_hip
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import Hip, Rejected, Screening
from worker.pipeline.statements import SIDE_WORDS
from worker.pipeline.volume import Side

SIDES: tuple[Side, Side] = ("R", "L")


@dataclass(frozen=True, slots=True)
class NamedResult:
    """The result of one series, which ``name`` describes without patient data."""

    name: str
    result: Screening | Rejected

    def hip(self, side: Side) -> Hip | None:
        """Return the hip of a side, None where the search for femurs was not reached."""
        return next((hip for hip in self.result.hips if hip.side == side), None)

    def grades(self, side: Side) -> bool:
        """Return whether the series grades a side."""
        hip = self.hip(side)
        return hip is not None and hip.grade is not None

    def shows_metal(self, side: Side) -> bool:
        """Return whether the series shows metal at a side."""
        hip = self.hip(side)
        reason = None if hip is None else hip.reason
        return reason is not None and reason.code is ReasonCode.METAL

    @property
    def measures_all(self) -> bool:
        """Whether spine and hips are measured without a model, as far as metal allows."""
        hips = self.result.hips
        return (
            isinstance(self.result, Screening)
            and any(is_measured_hip(hip) for hip in hips)
            and all(is_measured_hip(hip) or self.shows_metal(hip.side) for hip in hips)
        )


Owners = Mapping[Side, NamedResult | None]


def is_complete(results: Sequence[NamedResult]) -> bool:
    """Return whether no other series has to be screened.

    One series grades both hips; or one side has metal, so that none can, and the other is
    decided. Without a model, one series shows both hips and measures the lumbar spine.
    """
    if any(all(one.grades(side) for side in SIDES) for one in results):
        return True
    if any(one.measures_all for one in results):
        return True
    owners = _owners(results)
    metal = any(one.shows_metal(side) for one in results for side in SIDES)
    return metal and all(owner is not None for owner in owners.values())


def compose(results: Sequence[NamedResult]) -> Screening | None:
    """Return the result of a study, None where no side is graded and no spine is measured.

    ``results`` : the best series first. The result of one series is returned unchanged, unless
    only another one measures the lumbar spine, or shows a hip that is not in view.
    """
    graded = _compose_hips(results)
    if graded is None:
        measured = _first_measured(results)
        return None if measured is None else _with_hips_in_view(measured, results)
    if graded.lumbar is not None and graded.lumbar.measured:
        return graded
    other = _first_measured(results)
    return graded if other is None else replace(graded, lumbar=other.lumbar)


def _first_measured(results: Sequence[NamedResult]) -> Screening | None:
    """Return the highest-ranked result that measures a lumbar vertebra."""
    for one in results:
        found, lumbar = one.result, one.result.lumbar
        if isinstance(found, Screening) and lumbar is not None and lumbar.measured:
            return found
    return None


def _with_hips_in_view(measured: Screening, results: Sequence[NamedResult]) -> Screening:
    """Return a result without a grade with the hips that another series of the study shows.

    A hip that another series shows is not "not in the field of view".
    """

    def seen(hip: Hip) -> Hip:
        if hip.reason is None or hip.reason.code is not ReasonCode.NO_FEMUR:
            return hip
        others = ((one.name, one.hip(hip.side)) for one in results)
        in_view = (_named(other, name) for name, other in others if other and other.femur)
        return next(in_view, hip)

    return replace(measured, hips=tuple(seen(hip) for hip in measured.hips))


def _named(hip: Hip, series: str) -> Hip:
    """Return an ungraded hip whose reason names its series, which the report does not show."""
    if hip.reason is not None:
        text = f"{hip.reason.text.rstrip('.')} ({series})."
        hip = replace(hip, reason=Reason(hip.reason.code, text))
    return replace(hip, plane=None, outline_mm=None)


def _compose_hips(results: Sequence[NamedResult]) -> Screening | None:
    """Return the result of the hips of a study, None where no side is graded."""
    owners = _owners(results)
    graded = [
        one
        for one in results
        if any(one is owners[side] and one.grades(side) for side in SIDES)
    ]
    if not graded or not isinstance(main := graded[0].result, Screening):
        return None
    if all(owner in (None, graded[0]) for owner in owners.values()):
        return main
    hips = tuple((owners[side] or graded[0]).hip(side) for side in SIDES)
    present = tuple(hip for hip in hips if hip is not None)
    return replace(
        main,
        headers=tuple(ds for one in graded for ds in _headers(one)),
        hips=present,
        grade=worse_grade([hip.grade for hip in present if hip.grade is not None]),
        warnings=(_origin(owners), *_warnings(graded)),
    )


def _owners(results: Sequence[NamedResult]) -> Owners:
    """Return which result decides about each side, None where a side is not decided.

    Metal decides before a grade. Two results share a frame of reference, because picture and
    report place both hips in one patient.
    """
    owners: dict[Side, NamedResult | None] = {
        side: next((one for one in results if one.shows_metal(side)), None) for side in SIDES
    }
    sides = [side for side, owner in owners.items() if owner is None]
    best = _best(results, sides)
    if best is not None:
        frame = _frame_of_reference(best)
        others = [one for one in results if frame and _frame_of_reference(one) == frame]
        for side in sides:
            owners[side] = next((one for one in (best, *others) if one.grades(side)), None)
    return owners


def _best(results: Sequence[NamedResult], sides: Sequence[Side]) -> NamedResult | None:
    """Return the highest-ranked result that grades all of the sides, or else one of them."""
    graded = [[one.grades(side) for side in sides] for one in results]
    for enough in (all, any):
        for one, grades in zip(results, graded, strict=True):
            if grades and enough(grades):
                return one
    return None


def _frame_of_reference(one: NamedResult) -> str:
    """Return the frame of reference of a series, ``""`` where it has none or several."""
    uids = {uid_of(ds, "FrameOfReferenceUID") for ds in _headers(one)}
    return uids.pop() if len(uids) == 1 else ""


def _headers(one: NamedResult) -> Sequence[Dataset]:
    return one.result.headers if isinstance(one.result, Screening) else ()


def _origin(owners: Owners) -> str:
    """Return which side is that of which series."""
    sides = (
        f"{SIDE_WORDS[side]} hip by {owner.name}"
        for side, owner in owners.items()
        if owner is not None
    )
    return f"Study: no series grades both hips: {'; '.join(sides)}."


def _warnings(graded: Sequence[NamedResult]) -> Iterable[str]:
    """Yield the warnings about all series, then those about single ones with their names."""
    counts = Counter(warning for one in graded for warning in set(one.result.warnings))
    yield from (text for text in graded[0].result.warnings if counts[text] == len(graded))
    for one in graded:
        for text in one.result.warnings:
            if counts[text] < len(graded):
                yield f"{text.rstrip('.')} ({one.name})."
