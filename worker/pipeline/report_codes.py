"""Every coded concept of the SR, with the public source that it was checked in.

DCM, SCT, UCUM, LN and UMLS concepts come from pydicom's dictionaries of PS3.16, by keyword;
this module names what those lack. A code that no public source confirms is not written:
what is ours is private (``99OSTEOSCREEN``), declared in CodingSchemeIdentificationSequence.
"""

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from worker.pipeline.results import Grade, ReasonCode, Side

PRIVATE_SCHEME = "99OSTEOSCREEN"

# SNOMED CT disorders; in no context group of PS3.16. Found alike in several value sets
# of HL7 FHIR implementation guides and, for osteopenia, in UMLS (SNOMEDCT_US PT 312894000).
OSTEOPOROSIS = Code("64859006", "SCT", "Osteoporosis")
OSTEOPENIA = Code("312894000", "SCT", "Osteopenia")

GRADES: dict[Grade, Code] = {
    Grade.NORMAL: codes.SCT.Normal,  # CID 222
    Grade.OSTEOPENIA: OSTEOPENIA,
    Grade.OSTEOPOROSIS: OSTEOPOROSIS,
}

# SNOMED CT body structure, as body-site tables of public FHIR guides list it.
FEMORAL_NECK = Code("29627003", "SCT", "Neck of femur")
PROXIMAL_FEMUR = codes.SCT.ProximalFemur  # CID 7304

LATERALITY: dict[Side, Code] = {"R": codes.SCT.Right, "L": codes.SCT.Left}  # CID 244

ENGLISH = Code("en-US", "RFC5646", "English (United States)")  # TID 1204
CT_PROCEDURE = codes.LN.CTUnspecifiedBodyRegion  # CID 100
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")  # TID 1500
MEASUREMENT_METHOD = Code("370129005", "SCT", "Measurement Method")  # TID 1501
SOURCE = Code("260753009", "SCT", "Source")  # as highdicom names images of TID 1601 and 1410
PIXELS = Code("{pixels}", "UCUM", "Pixels")  # TID 1602

# The three names are pre-coordinated because viewers print name, value and unit and leave
# out modifiers; PS3.16 does the same with (111047, DCM, "Probability of cancer").
PROBABILITIES: dict[Grade, Code] = {
    Grade.NORMAL: Code("P_NORMAL", PRIVATE_SCHEME, "Probability of normal bone density"),
    Grade.OSTEOPENIA: Code("P_OSTEOPENIA", PRIVATE_SCHEME, "Probability of osteopenia"),
    Grade.OSTEOPOROSIS: Code("P_OSTEOPOROSIS", PRIVATE_SCHEME, "Probability of osteoporosis"),
}
BONE_DENSITY_CLASS = Code("BMD_CLASS", PRIVATE_SCHEME, "AI bone density class")
NOT_EVALUATED = codes.SCT.NotEvaluated  # CID 3703
NOT_EVALUATED_REASON = Code("NA_REASON", PRIVATE_SCHEME, "Reason why not evaluated")

USE_STATUS = Code("USE_STATUS", PRIVATE_SCHEME, "Status of use")
RESEARCH_ONLY = Code("RESEARCH_ONLY", PRIVATE_SCHEME, "Research use only, not for diagnosis")
DEMONSTRATION_ONLY = Code(
    "DEMO_ONLY", PRIVATE_SCHEME, "Demonstration model, not for clinical use"
)

# A code value has at most 16 characters (VR SH), so the reason codes are shortened.
REASONS: dict[ReasonCode, Code] = {
    ReasonCode.NOT_CT: Code("NA_NOT_CT", PRIVATE_SCHEME, "Not a CT image of the body"),
    ReasonCode.LOCALIZER: Code("NA_LOCALIZER", PRIVATE_SCHEME, "Localizer"),
    ReasonCode.TOO_FEW_SLICES: Code("NA_FEW_SLICES", PRIVATE_SCHEME, "Too few slices"),
    ReasonCode.GAPS: Code("NA_GAPS", PRIVATE_SCHEME, "Slices missing"),
    ReasonCode.ORIENTATION: Code("NA_ORIENTATION", PRIVATE_SCHEME, "Unsuitable orientation"),
    ReasonCode.TOO_YOUNG: Code("NA_TOO_YOUNG", PRIVATE_SCHEME, "Patient under 18 years"),
    ReasonCode.METAL: Code("NA_METAL", PRIVATE_SCHEME, "Prosthesis or metal at the hip"),
    ReasonCode.NO_FEMUR: Code(
        "NA_NO_FEMUR", PRIVATE_SCHEME, "Proximal femur not in the field of view"
    ),
    ReasonCode.MIXED: Code("NA_MIXED", PRIVATE_SCHEME, "Mixed series"),
    ReasonCode.UNDECODABLE: Code("NA_UNDECODABLE", PRIVATE_SCHEME, "Undecodable pixel data"),
    ReasonCode.OUT_OF_DISTRIBUTION: Code(
        "NA_OUT_OF_DIST", PRIVATE_SCHEME, "Unlike the training data of the model"
    ),
}
NO_REASON = Code("NA_UNKNOWN", PRIVATE_SCHEME, "No reason recorded")
