"""Decision whether the report of a screening is delivered. Pure: no I/O.

Each rule returns why a report is not delivered, or None. A report that is not delivered stays
on record, and an operator can have it delivered later.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Literal

from worker.pipeline.grading import SEVERITY
from worker.pipeline.lumbar_statements import is_under_specific_limit
from worker.pipeline.results import Grade, Screening
from worker.pipeline.statements import uncertainty_remark


class WithheldCode(StrEnum):
    """Reason for which a report is not delivered."""

    SILENT = "SILENT"
    """Nothing is delivered (``DELIVER=none``)."""
    DEMONSTRATION = "DEMONSTRATION"
    """A demonstration model must not select reports (``DELIVER=low_density``)."""
    NOT_LOW_DENSITY = "NOT_LOW_DENSITY"
    """No hip suggests low density (``DELIVER=low_density``)."""
    REPEATED = "REPEATED"
    """A recent report of the patient says the same or worse (``REPEAT_MONTHS``)."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why a report is not delivered, as a sentence without patient data."""

    code: WithheldCode
    text: str


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """The settings ``DELIVER`` and ``REPEAT_MONTHS``."""

    deliver: Literal["all", "low_density", "none"] = "all"
    repeat_months: int = 0


@dataclass(frozen=True, slots=True)
class DeliveredReport:
    """A delivered report of the patient on another study.

    ``grade`` : None where the report grades no hip.
    """

    study_date: date
    grade: Grade | None


@dataclass(frozen=True, slots=True)
class Report:
    """A report to be decided on.

    ``study_date`` : None where it is not known. ``delivered`` : reports of the same patient on
    other studies. ``replaces`` : it replaces a delivered one, which no longer stands.
    """

    screening: Screening
    study_date: date | None = None
    delivered: Sequence[DeliveredReport] = ()
    replaces: bool = False


def why_withheld(report: Report, policy: DeliveryPolicy) -> Withheld | None:
    """Return why a report is not delivered, by the first rule that says so."""
    found = (rule(report, policy) for rule in RULES)
    return next((withheld for withheld in found if withheld is not None), None)


def silent(report: Report, policy: DeliveryPolicy) -> Withheld | None:
    """Deliver nothing in the silent phase of a pilot."""
    if policy.deliver != "none":
        return None
    return Withheld(WithheldCode.SILENT, "Nothing is delivered (DELIVER=none).")


def demonstration(report: Report, policy: DeliveryPolicy) -> Withheld | None:
    """Let no demonstration model select reports.

    A worker does not start with one; ``promote`` can make one live while it runs.
    """
    if policy.deliver != "low_density" or not report.screening.model.simulated:
        return None
    text = "A demonstration model must not select reports (DELIVER=low_density)."
    return Withheld(WithheldCode.DEMONSTRATION, text)


def not_low_density(report: Report, policy: DeliveryPolicy) -> Withheld | None:
    """Deliver low density and uncertain hips only.

    A report that replaces a delivered one corrects it, and is delivered in any case.
    """
    if policy.deliver != "low_density" or report.replaces or _suggests_low(report.screening):
        return None
    text = f"{_subject(report.screening)} suggests low density (DELIVER=low_density)."
    return Withheld(WithheldCode.NOT_LOW_DENSITY, text)


def repeated(report: Report, policy: DeliveryPolicy) -> Withheld | None:
    """Deliver one report of a patient within ``REPEAT_MONTHS``, and others if they are worse.

    A report that replaces a delivered one corrects it, and is delivered in any case. A first
    grade after reports without one is delivered; a report without a grade after any other only
    if it suggests low density.
    """
    day = report.study_date
    if report.replaces or day is None:
        return None
    recent = [
        one.grade
        for one in report.delivered
        if months_apart(one.study_date, day) < policy.repeat_months
    ]
    if not recent or _is_worse(report.screening, recent):
        return None
    text = (
        "A report of the patient with the same or a worse grade was delivered within "
        f"{policy.repeat_months} months (REPEAT_MONTHS)."
    )
    return Withheld(WithheldCode.REPEATED, text)


def _is_worse(screening: Screening, earlier: Sequence[Grade | None]) -> bool:
    grade = screening.grade
    if grade is None:
        return _suggests_low(screening)
    return all(one is None or SEVERITY.index(grade) > SEVERITY.index(one) for one in earlier)


RULES: Sequence[Callable[[Report, DeliveryPolicy], Withheld | None]] = (
    silent, demonstration, not_low_density, repeated,
)  # fmt: skip


def months_apart(one: date, other: date) -> int:
    """Return the whole months between two dates, in either order."""
    first, last = sorted((one, other))
    months = 12 * (last.year - first.year) + last.month - first.month
    return months - (last.day < first.day)


def _subject(screening: Screening) -> str:
    return "No hip" if screening.grade is not None else "No measured vertebra"


def _suggests_low(screening: Screening) -> bool:
    """Return whether a hip is graded osteopenia or osteoporosis, or may be.

    So does a vertebra at or under the lowest published limit of its level, where that holds.
    """
    return is_under_specific_limit(screening) or any(
        hip.grade is not None and (hip.grade is not Grade.NORMAL or uncertainty_remark(hip))
        for hip in screening.hips
    )
