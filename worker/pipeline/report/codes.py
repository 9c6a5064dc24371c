"""The coded concepts of the SR with their public sources.

DCM, SCT, UCUM and LN concepts come from pydicom's dictionaries of PS3.16, by keyword; this
module defines those that they lack. ``PUBLIC`` names the public source of every code. Codes
without one are private (``99OSTEOSCREEN``), declared in CodingSchemeIdentificationSequence.
"""

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from worker.pipeline.lumbar_results import Level
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Grade
from worker.pipeline.volume import Side

PRIVATE_SCHEME = "99OSTEOSCREEN"

# SNOMED CT disorders, not in a context group of PS3.16. Equal in several value sets of HL7
# FHIR implementation guides and, for osteopenia, in UMLS (SNOMEDCT_US PT 312894000).
OSTEOPOROSIS = Code("64859006", "SCT", "Osteoporosis")
OSTEOPENIA = Code("312894000", "SCT", "Osteopenia")

GRADES: dict[Grade, Code] = {
    Grade.NORMAL: codes.SCT.Normal,  # CID 222
    Grade.OSTEOPENIA: OSTEOPENIA,
    Grade.OSTEOPOROSIS: OSTEOPOROSIS,
}

# SNOMED CT body structure, from the body-site tables of public FHIR guides.
FEMORAL_NECK = Code("29627003", "SCT", "Neck of femur")
PROXIMAL_FEMUR = codes.SCT.ProximalFemur  # CID 7304

# CID 7151
LEVELS: dict[Level, Code] = {
    "L1": codes.SCT.L1Vertebra,
    "L2": codes.SCT.L2Vertebra,
    "L3": codes.SCT.L3Vertebra,
    "L4": codes.SCT.L4Vertebra,
    "L5": codes.SCT.L5Vertebra,
}

LUMBAR_SPINE = codes.SCT.LumbarSpine  # CID 7151

LATERALITY: dict[Side, Code] = {"R": codes.SCT.Right, "L": codes.SCT.Left}  # CID 244

ENGLISH = Code("en-US", "RFC5646", "English (United States)")  # TID 1204
CT_PROCEDURE = codes.LN.CTUnspecifiedBodyRegion  # CID 100

# Body Part Examined (PS3.16 Annex L) without spaces and punctuation: the regions whose CT shows
# hips, with their codes of CID 4031.
REGIONS: dict[str, Code] = {
    "ABDOMEN": codes.SCT.Abdomen,
    "PELVIS": codes.SCT.Pelvis,
    "ABDOMENPELVIS": codes.SCT.AbdomenAndPelvis,
    "ABDPELVIS": codes.SCT.AbdomenAndPelvis,
    "CHESTABDPELVIS": codes.SCT.ChestAbdomenAndPelvis,
    "CHESTABDOMENPELVIS": codes.SCT.ChestAbdomenAndPelvis,
    "HIP": codes.SCT.Hip,
    "LEG": codes.SCT.LowerLimb,
}
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")  # TID 1500
DXA = codes.SCT.DualEnergyXRayAbsorptiometry  # CID 10005
MEASUREMENT_METHOD = Code("370129005", "SCT", "Measurement Method")  # TID 1501
SOURCE = Code("260753009", "SCT", "Source")  # as highdicom names images of TID 1601 and 1410

# P(x) is the probability of x.
SIDES: dict[Side, str] = {"R": "Right", "L": "Left"}
# Pre-coordinated with grade and side because viewers print name, value and unit without
# modifiers, and often without the site; PS3.16 names the finding in the same way with
# (111047, DCM, "Probability of cancer"). Short, because viewers draw them beside the femur.
PROBABILITIES: dict[Side, dict[Grade, Code]] = {
    side: {
        grade: Code(f"P_{grade.name}_{side}", PRIVATE_SCHEME, f"{word} P({of})")
        for grade, of in (
            (Grade.NORMAL, "normal bone"),
            (Grade.OSTEOPENIA, "osteopenia"),
            (Grade.OSTEOPOROSIS, "osteoporosis"),
        )
    }
    for side, word in SIDES.items()
}
ASSESSED_SIDES = Code("ASSESSED_SIDES", PRIVATE_SCHEME, "Assessed sides")
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
    ReasonCode.TOO_YOUNG: Code("NA_TOO_YOUNG", PRIVATE_SCHEME, "Patient under the minimum age"),
    ReasonCode.METAL: Code("NA_METAL", PRIVATE_SCHEME, "Prosthesis or metal at the hip"),
    ReasonCode.NO_FEMUR: Code(
        "NA_NO_FEMUR", PRIVATE_SCHEME, "Proximal femur not in the field of view"
    ),
    ReasonCode.MIXED: Code("NA_MIXED", PRIVATE_SCHEME, "Mixed series"),
    ReasonCode.UNDECODABLE: Code("NA_UNDECODABLE", PRIVATE_SCHEME, "Undecodable pixel data"),
    ReasonCode.OUT_OF_DISTRIBUTION: Code(
        "NA_OUT_OF_DIST", PRIVATE_SCHEME, "Unlike the training data of the model"
    ),
    ReasonCode.NO_MODEL: Code("NA_NO_MODEL", PRIVATE_SCHEME, "No model installed"),
}
NO_REASON = Code("NA_UNKNOWN", PRIVATE_SCHEME, "No reason recorded")


# Every public code that SR, SC or map may hold with its source: template (TID) and context
# group (CID) of PS3.16 Annexes A, B and D. Tests compare it with the written objects and with
# pydicom's copy of the standard's tables.
PUBLIC: dict[Code, str] = {
    codes.DCM.ImagingMeasurementReport: "TID 1500, CID 7021",
    codes.DCM.LanguageOfContentItemAndDescendants: "TID 1204",
    ENGLISH: "TID 1204; RFC 5646",
    codes.DCM.ObserverType: "TID 1002",
    codes.DCM.Device: "CID 270",
    codes.DCM.DeviceObserverUID: "TID 1004",
    codes.DCM.DeviceObserverName: "TID 1004",
    codes.DCM.DeviceObserverManufacturer: "TID 1004",
    codes.DCM.DeviceObserverModelName: "TID 1004",
    codes.DCM.ProcedureReported: "TID 1500; the value out of CID 100",
    CT_PROCEDURE: "CID 100",
    codes.DCM.Impression: "CID 3419, 6053, 7002",
    codes.DCM.Recommendations: "PS3.16 Annex D",
    codes.DCM.Recommendation: "CID 3419, 6053, 7002",
    DXA: "CID 10005",
    codes.DCM.BestIllustrationOfFinding: "CID 7003",
    codes.DCM.SourceOfMeasurement: "CID 7003; TID 1501",
    codes.DCM.ImageLibrary: "TID 1600",
    codes.DCM.ImageLibraryGroup: "TID 1600",
    SOURCE: "SNOMED CT as highdicom names images of TID 1410 and 1600",
    codes.DCM.Modality: "TID 1602",
    codes.DCM.ComputedTomography: "CID 29",
    codes.DCM.TargetRegion: "TID 1602, here of the procedure",
    **dict.fromkeys(REGIONS.values(), "CID 4031"),
    codes.DCM.FrameOfReferenceUID: "TID 1602",
    codes.DCM.ImagingMeasurements: "TID 1500",
    codes.DCM.AlgorithmName: "TID 4019",
    codes.DCM.AlgorithmVersion: "TID 4019",
    codes.DCM.AlgorithmParameters: "TID 4019",
    codes.DCM.AlgorithmFamily: "TID 4019",
    codes.DCM.ArtificialIntelligence: "CID 7162",
    codes.DCM.MeasurementGroup: "TID 1410",
    codes.DCM.TrackingIdentifier: "TID 1410",
    codes.DCM.TrackingUniqueIdentifier: "TID 1410",
    codes.DCM.Finding: "TID 1410",
    codes.SCT.FindingSite: "TID 1410",
    PROXIMAL_FEMUR: "CID 7304",
    FEMORAL_NECK: "SNOMED CT, body-site tables of FHIR guides of HL7",
    **dict.fromkeys(LEVELS.values(), "CID 7151"),
    LUMBAR_SPINE: "CID 7151",
    codes.SCT.Laterality: "TID 1410",
    codes.SCT.Right: "CID 244",
    codes.SCT.Left: "CID 244",
    codes.SCT.Bilateral: "CID 244",
    codes.DCM.ImageRegion: "TID 1410",
    codes.DCM.GeometricPurposeOfRegion: "TID 1410",
    codes.SCT.BoundedBy: "CID 219",
    codes.DCM.VisualExplanation: "TID 1410",
    MEASUREMENT_METHOD: "TID 1410",
    codes.DCM.GradientWeightedClassActivation: "CID 217",
    codes.DCM.MeanAttenuationCoefficient: "PS3.16 Annex D",
    codes.DCM.StandardDeviationOfAttenuationCoefficient: "PS3.16 Annex D",
    codes.SCT.Area: "TID 1419, CID 7461",
    codes.DCM.Comment: "PS3.16 Annex D",
    QUALITATIVE_EVALUATIONS: "TID 1500",
    codes.DCM.Conclusion: "PS3.16 Annex D",
    codes.SCT.Normal: "CID 222",
    OSTEOPENIA: "SNOMED CT, value sets of FHIR guides of HL7; UMLS",
    OSTEOPOROSIS: "SNOMED CT, value sets of FHIR guides of HL7",
    NOT_EVALUATED: "CID 3703",
    codes.UCUM.Percent: "UCUM; CID 82",
    codes.UCUM.HounsfieldUnit: "UCUM; CID 82",
    codes.UCUM.SquareMillimeter: "UCUM; CID 7461",
    codes.UCUM.NoUnits: "UCUM; CID 82",
    codes.DCM.AcquisitionEquipment: "CID 7005",
    codes.DCM.ProcessingEquipment: "CID 7005; IHE AIR",
    codes.DCM.SourceImageForImageProcessingOperation: "CID 7202",
    codes.DCM.PixelByPixelAddition: "CID 7203",
    codes.DCM.UnspecifiedMethodOfCalculation: "CID 7203",
    Code("246205007", "SCT", "Quantity"): "PS3.3 C.7.6.16.2.11, of a real world value",
}

PRIVATE: tuple[Code, ...] = (
    *(name for names in PROBABILITIES.values() for name in names.values()),
    ASSESSED_SIDES,
    BONE_DENSITY_CLASS,
    NOT_EVALUATED_REASON,
    USE_STATUS,
    RESEARCH_ONLY,
    DEMONSTRATION_ONLY,
    *REASONS.values(),
    NO_REASON,
)
