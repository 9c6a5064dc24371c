"""Sentences of SR and SC: the templates of every text that they show, in English.

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
    ReasonCode.NO_MODEL: ": no model is installed",
}
EARLIER_GRADE = ", earlier {grade}"

# A result without a grade: the measurement comes first.
NOT_GRADED = "{lumbar}; hips not graded ({sides})"
UNGRADED_HIP = "{side} hip{reason}"
NOT_ASSESSABLE_REASON = ": not assessable"
EARLIER_OF_SIDES = "{sides} earlier {grade}"
NOT_IN_VIEW = "not in the field of view"
NO_MODEL, NO_MODEL_SHORT = "No model is installed", "no model is installed"
NO_MODEL_NO_SPINE = "No model is installed, and no lumbar vertebra is measured."
NECK_VALUE = "Femoral neck {mean} ± {sd} HU; no published limit is used."

# Measurements of the lumbar spine.
LUMBAR_VALUE = "{level} {hu} HU"
LUMBAR_READ = "{value}: {sign} {limit}, {author}"
LUMBAR_NOT_READ = "{value}; {author} does not apply: {why_not}"
FIRST_OF_REASONS = "{reason}, among others"
LIMIT_NOT_READ = "{author} does not apply: {why_not}."
LUMBAR_NO_LIMIT = "{values} (no published limit is used)"
LUMBAR_NOT_MEASURED = "{level} not measured: {reason}"
GROUP_OF_LEVEL = "{level}: trabecular bone"
GROUP_WITHOUT_LEVEL = "Lumbar, level uncertain, {number} of {count}"
WHY_UNCERTAIN = "Level uncertain: {doubt}. No published limit applies."
LIMIT_OF_GROUP, LIMIT_NOT_MET = "{reading} ({source}).", " Does not hold: {why_not}."
LUMBAR_MEDIAN = "Median of {levels}: {hu} HU."
LUMBAR_UNCERTAIN = (
    "Lumbar spine, level uncertain: median {hu} HU of {number} ({doubt}); no published limit "
    "applies."
)
ONE_VERTEBRA, VERTEBRAE = "one vertebra", "{number} vertebrae"
LUMBAR_BESIDE_GRADE = "Lumbar spine, measured without the model: {line}."
CONTRADICTION = (
    "Model and measurement contradict each other: the grade of the hips is {grade}, the "
    "attenuation of the spine suggests otherwise. They rest on different data."
)

# Sentences that qualify the impression.
UNDER_WHO_AGE = (
    "Patient under {years} years: WHO categories apply to postmenopausal women and to men from "
    "{years} years (ISCD); Z-scores are preferred otherwise."
)
CHANGED_BY_DEMOGRAPHICS = (
    "Sex, age, height and weight changed the grade: from the picture alone, {hips}."
)

RECOMMENDATION = "Confirm with DXA before any decision about treatment."

# What the whole result rests on.
DEMONSTRATION_NOTICE = (
    "Demonstration model, trained on simulated CT: it has never seen a patient. "
    "Not for clinical use."
)
RESEARCH_NOTICE = (
    "Automatic result, not reviewed by a physician. Research use only, not for diagnosis."
)
# For series descriptions, which have at most 64 characters.
SHORT_DEMONSTRATION_NOTICE = "DEMO, not for clinical use"
SHORT_RESEARCH_NOTICE = "RESEARCH, not for diagnosis"
LIMITATIONS = (
    "The grade estimates the WHO category of femoral DXA from the picture. Neither T-score nor "
    "bone mineral density is measured; nothing else was looked for. The diagnosis needs DXA."
)
MEASUREMENT_LIMITATIONS = (
    "Attenuation in HU is not bone mineral density, and no T-score is measured. A published "
    "limit holds for the vertebra and the acquisition that it names. Nothing else was looked "
    "for. The diagnosis needs DXA."
)
NO_MODEL_USED = "No model and no demographics (sex, age, height, weight) were used."
IMAGE_MODEL_ONLY = "Image model only: demographics (sex, age, height, weight) were not used."
MODEL_INPUTS = "Model inputs: {inputs}."
NOT_IN_HEADER = " Not in the source header: {names}."
WARNING = "Warning: {warning}"
CAPTURE = "Capture: {remark}"
TWO_SERIES = (
    "Right and left half are of two series: measure within a half, not across the dashed line."
)
TWO_DIRECTIONS = (
    "Right and left half are reformatted separately, each along its femoral neck: "
    "measure within a half, not across the dashed line."
)

# One hip.
HIP_RESULT = "{side} hip: {grade}{doubt}, probability {percent}."
HIP_WITHOUT_RESULT = "{side} hip: NOT ASSESSABLE. {reason}"
HIP_WITHOUT_GRADE = "{side} hip: not graded. {reason}"
HIP_NOT_FOUND = "No {side} proximal femur was found in the field of view."
NO_REASON = "no reason was recorded"
MAY_BE = "uncertain: may be {grade}"
NECK_REGION = (
    "Of {volume_cm3:.1f} cm³ of trabecular bone in the volume; the outline is its projection."
)
NECK_NOT_MEASURED = "Neck attenuation was not measured. {reason}"

# The result picture. Its words are short: it is read in seconds.
PICTURE_HIP = "{side} HIP"
PICTURE_NO_GRADE = "NOT ASSESSABLE"
PICTURE_UNCERTAIN_GRADE = "{grade}?"
HEAT_DRAWN = "Grad-CAM of {grade}; outlines: femur, neck."
HEAT_NOT_DRAWN = "Grad-CAM of {grade} not drawn: not on the femur."
PICTURE_NECK_VALUE = "Neck {mean} ± {sd} HU"
PICTURE_NECK_NOT_MEASURED = "Neck HU not measured. {reason}"
ONE_MORE_WARNING = "1 more warning: see the structured report."
MORE_WARNINGS = "{number} more warnings: see the structured report."
PICTURE_FOOT = (
    "{images} {window}. Model {name} {version} ({modality}). Not a T-score, not BMD. "
    "Measure on image 2 of this series."
)

# The picture of a spine.
SAGITTAL_VIEW = "Sagittal, straightened along the canal. Check the level."
AXIAL_VIEW = "{level}: mean over the outline, 5 mm thick. {window}"
VERTEBRA_VALUE = "{level}  {mean} ± {sd} HU"
VERTEBRA_NOT_MEASURED = "{level}  not measured. {reason}"
SPINE_FOOT = (
    "{levels} {name} {version}, no model. Not a T-score, not BMD. Do not measure on this "
    "picture."
)

# Images, numbered as viewers count them.
IMAGE = "image {number}"
REFORMAT, TURNED = "coronal reformat {number}", "{name} turned by {degrees}°"
OF_SERIES = "series {number} {name}"
NECK_ON_IMAGE = "{name}, neck on axial {image}"
IMAGES_READ = "Read: {images}."

# Earlier results. The picture has no dates: it must not reveal when the patient was examined.
PREVIOUS = "Previous result, {date}: {grade} (same model). {hips}"
PREVIOUS_OF_ANOTHER_MODEL = (
    "Previous result, {date}: {grade} (model {name} {version}). Another model: not compared."
)
NOT_ASSESSABLE = "not assessable"
GRADE_CHANGE = "{side} hip: {old} then, {new} now"
PROBABILITY_CHANGE = "probability of {grade} was {old}, is {new} now"
NECK_CHANGE = "neck was {old} HU, is {new} HU now{difference}"
DIFFERENCE = " ({hu})"
CHANGE_CAVEAT = (
    "A change of HU or probability may come from another scanner, tube voltage, contrast "
    "phase or position. Only DXA measures a change of bone density."
)
PICTURE_PREVIOUS = "{ago}: {grade}{chance}{neck}."
PICTURE_NOT_ASSESSABLE = "{ago}: not assessable."
PICTURE_PROBABILITY = " (then {percent} {grade})"
PICTURE_NECK = ", neck {hu} HU{difference}"
PICTURE_DIFFERENCE = " ({hu} since)"
PICTURE_OF_ANOTHER_MODEL = "{ago}: {grade}, by another model ({name} {version}): not compared."
EARLIER = "earlier"
DAYS_AGO, MONTHS_AGO = "{number} days ago", "{number} months ago"
YEARS_AGO = "{number} years ago"

# DXA results on record.
DXA_ON_RECORD = "DXA on record, {date}: T-score {t_score} ({site}{grade})."
DXA_SIDE = "{side} hip, "
DXA_IS_REFERENCE = "DXA is the reference for bone density; this result does not replace it."
