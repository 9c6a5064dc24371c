"""Sentences of SR and SC: the templates of every text that both show, in English.

One module, so that a translation replaces one file. No translation is shipped before
clinicians have reviewed it.
``impression``, ``statements``, ``previous`` and ``known_dxa`` fill in the fields.
"""

from collections.abc import Mapping

from worker.pipeline.reasons import ReasonCode
from worker.pipeline.volume import Side

SIDE_WORDS: Mapping[Side, str] = {"R": "right", "L": "left"}

# Impression: one sentence. The sides follow in parentheses.
DEMONSTRATION_PREFIX = "DEMONSTRATION, not for clinical use: {impression}"
LOW_DENSITY = "low density suggested, grade {grade} ({sides})"
NO_LOW_DENSITY = "no low density suggested ({sides})"
UNCERTAIN = "uncertain whether {grade} or {other} ({sides})"
NO_RESULT = "no result ({sides})"
# A grade of normal never rules out osteoporosis.
NO_RULE_OUT = "; this does not exclude osteoporosis"
BOTH_HIPS = "both hips"
HIP = "{side} hip"
HIP_OF_GRADE = "{side} hip {grade}"
HIP_UNCERTAIN = "{side} hip uncertain, {grade} or {other}"
HIP_NOT_ASSESSABLE = "{side} hip not assessable"
SHORT_REASONS: Mapping[ReasonCode, str] = {
    ReasonCode.METAL: ": metal",
    ReasonCode.NO_FEMUR: ": not found",
}
EARLIER_GRADE = ", earlier {grade}"

# Sentences that qualify the impression.
UNDER_WHO_AGE = (
    "Patient under {years} years: WHO categories apply to postmenopausal women and to men from "
    "{years} years (ISCD); Z-scores are preferred otherwise."
)
CHANGED_BY_DEMOGRAPHICS = (
    "Sex, age, height and weight changed the grade: from the picture alone, {hips}."
)

RECOMMENDATION = "Confirm with DXA before any decision about treatment."
