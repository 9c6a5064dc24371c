"""Rules for the patient of a series: the minimum age of the site, and its opt-out list."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydicom import Dataset

from common.dicom.patient_values import examination_date, stated_text
from worker.pipeline.demographics import MIN_AGE_YEARS, ages_by_attribute
from worker.pipeline.header_values import distinct, encoded_values
from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.validation.rules import Rules


@dataclass(frozen=True, slots=True)
class PatientRules:
    """Patients that a site screens.

    ``min_age_years`` : at least ``MIN_AGE_YEARS``, since the grades do not apply to growing
    bone. ``opted_out`` : Patient IDs without surrounding spaces; PHI, never logged.
    """

    min_age_years: int = MIN_AGE_YEARS
    opted_out: frozenset[str] = field(default=frozenset(), repr=False)


ALL_ADULTS = PatientRules()


def too_young(headers: Iterable[Dataset], rules: PatientRules) -> RuleResult:
    """Reject images of a patient under the minimum age.

    One attribute of one image suffices to reject; all may be absent.
    """
    least = rules.min_age_years
    for ds in distinct(headers, _values_of_age):
        for keyword, age in ages_by_attribute(ds).items():
            if age < least:
                text = f"The patient is younger than {least} years by {keyword}."
                return Reason(ReasonCode.TOO_YOUNG, text)
    return f"No header says younger than {least} years."  # without the age: it is patient data


def _values_of_age(ds: Dataset) -> tuple[object, ...]:
    """Return what the ages in a header depend on."""
    return *encoded_values(ds, ("PatientAge", "PatientBirthDate")), examination_date(ds)


def opted_out(headers: Iterable[Dataset], rules: PatientRules) -> RuleResult:
    """Reject images of a patient whose Patient ID is on the opt-out list, in any issuer."""
    if rules.opted_out and any(
        stated_text(ds, "PatientID") in rules.opted_out for ds in headers
    ):
        return Reason(ReasonCode.OPTED_OUT, "The patient is on the opt-out list of the site.")
    return "The patient is not on the opt-out list."


PATIENT_RULES: "Rules[[Iterable[Dataset], PatientRules]]" = {
    "age": (f"at least {MIN_AGE_YEARS} years, or MIN_AGE", too_young),
    "opt_out": ("a Patient ID that is not on the opt-out list", opted_out),
}
