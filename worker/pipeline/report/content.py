"""The content tree of the SR: TID 1500 with the measurement groups of each hip (TID 1410)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from highdicom.sr import UIDRefContentItem
from highdicom.sr.value_types import ContentItem, ContentSequence
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from worker.pipeline import header_values, statements
from worker.pipeline.crop import WINDOW_CENTER_HU, WINDOW_WIDTH_HU
from worker.pipeline.derived_header import MANUFACTURER
from worker.pipeline.report import codes as report_codes
from worker.pipeline.report.image_library import image_library
from worker.pipeline.report.items import (
    CONTAINS,
    CONTEXT,
    MODIFIER,
    PROPERTY,
    code,
    container,
    image,
    text,
)
from worker.pipeline.report.lumbar_groups import lumbar_groups
from worker.pipeline.report.measurements import algorithm, hip_groups, is_explanation, site
from worker.pipeline.report.regions import RegionOf
from worker.pipeline.results import (
    MEASUREMENT,
    Hip,
    ModelInfo,
    Screening,
)
from worker.pipeline.uids import device_uid
from worker.pipeline.value_representation import MAX_ITEMS
from worker.pipeline.volume import Side

MEASUREMENT_PARAMETERS = (
    "Levels counted from the sacrum and checked by the last ribs; mean over a slab of 5 mm of "
    "an ellipse in the front two thirds of the vertebral body"
)


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of a report. ``recommendation`` : of DXA, ``""`` for none.

    ``qualifications`` : of the impression. ``comments`` : after the conclusion. One item each.
    """

    impression: str
    qualifications: Sequence[str]
    recommendation: str
    comments: Sequence[str]


def content_tree(
    screening: Screening, pictures: Sequence[Dataset], region_of: RegionOf, words: Words
) -> ContentItem:
    """Return the root container. ``pictures`` : the images of the result."""
    return container(
        codes.DCM.ImagingMeasurementReport,
        code(codes.DCM.LanguageOfContentItemAndDescendants, report_codes.ENGLISH, MODIFIER),
        *_device_observer(screening.model),
        *_procedures_reported(screening.source),
        *_impression(words),
        *(
            image(codes.DCM.BestIllustrationOfFinding, picture)
            for picture in pictures
            if not is_explanation(picture)
        ),
        image_library(screening),
        container(
            codes.DCM.ImagingMeasurements,
            *algorithm(screening.model),
            *_parameters(screening.model),
            *hip_groups(screening, pictures, region_of),
            *lumbar_groups(screening),
            relationship=CONTAINS,
        ),
        _conclusion(screening, words.comments),
        template="1500",
    )


def _impression(words: Words) -> Iterable[ContentItem]:
    """Yield what is read first: impression, its qualifications, recommendation."""
    yield text(codes.DCM.Impression, words.impression)
    yield from (text(codes.DCM.Comment, sentence) for sentence in words.qualifications)
    if words.recommendation:
        yield container(
            codes.DCM.Recommendations,
            code(codes.DCM.Recommendation, report_codes.DXA),
            text(codes.DCM.Recommendation, words.recommendation),
            relationship=CONTAINS,
        )


def _device_observer(model: ModelInfo) -> list[ContentItem]:
    """Return TID 1002 and 1004, equal to the contributing equipment, as IHE AIR requires."""
    return [
        code(codes.DCM.ObserverType, codes.DCM.Device, CONTEXT),
        UIDRefContentItem(codes.DCM.DeviceObserverUID, device_uid(model), CONTEXT),
        text(codes.DCM.DeviceObserverName, model.name, CONTEXT),
        text(codes.DCM.DeviceObserverManufacturer, MANUFACTURER, CONTEXT),
        text(codes.DCM.DeviceObserverModelName, model.name, CONTEXT),
    ]


def _procedures_reported(source: Dataset) -> list[ContentItem]:
    """Return the imaging procedures, not the algorithm (IHE AIR), from CID 100.

    CT where the source states none or private codes, which the header holds. CID 100 has no CT
    of a body part, so that of the source modifies the procedure.
    """
    public = {
        (concept.value, concept.scheme_designator): concept
        for concept in codes.cid100.concepts.values()
    }
    keys = [
        (
            header_values.text_of(item, "CodeValue"),
            header_values.text_of(item, "CodingSchemeDesignator"),
        )
        for item in header_values.items_of(source, "ProcedureCodeSequence")[:MAX_ITEMS]
    ]
    procedures = [public[key] for key in keys if key in public]
    items = [
        code(codes.DCM.ProcedureReported, procedure, MODIFIER)
        for procedure in procedures or [report_codes.CT_PROCEDURE]
    ]
    body_part = re.sub("[^A-Z]", "", header_values.text_of(source, "BodyPartExamined").upper())
    if region := report_codes.REGIONS.get(body_part):
        for item in items:
            target = code(codes.DCM.TargetRegion, region, MODIFIER)
            item.ContentSequence = ContentSequence([target])
    return items


def _parameters(model: ModelInfo) -> list[ContentItem]:
    """Return the remaining items of TID 4019, which the report holds once."""
    if model == MEASUREMENT:
        return [text(codes.DCM.AlgorithmParameters, MEASUREMENT_PARAMETERS, MODIFIER)]
    parameters = (
        f"Input {model.modality}, window center {WINDOW_CENTER_HU} HU, width "
        f"{WINDOW_WIDTH_HU} HU; trained on {model.training_data}; "
        f"weights SHA-256 {model.sha256}"
    )
    return [
        text(codes.DCM.AlgorithmParameters, parameters, MODIFIER),
        code(codes.DCM.AlgorithmFamily, codes.DCM.ArtificialIntelligence, MODIFIER),
    ]


def _conclusion(screening: Screening, comments: Iterable[str]) -> ContentItem:
    """Return the qualitative evaluations of TID 1500.

    The patient's grade, assessed sides, hips without a grade, status of use, comments.
    """
    status = (
        report_codes.DEMONSTRATION_ONLY
        if screening.model.simulated
        else report_codes.RESEARCH_ONLY
    )
    assessed = statements.graded_sides(screening)
    return container(
        report_codes.QUALITATIVE_EVALUATIONS,
        _patient(screening),
        *(code(report_codes.ASSESSED_SIDES, _laterality(assessed)) for _ in assessed[:1]),
        *(_not_evaluated(hip) for hip in statements.both_hips(screening) if hip.grade is None),
        code(report_codes.USE_STATUS, status),
        *(text(codes.DCM.Comment, comment) for comment in comments),
        relationship=CONTAINS,
    )


def _patient(screening: Screening) -> ContentItem:
    """Return the patient's grade; its site names the hips that have this grade."""
    grade = screening.grade
    conclusion = code(
        codes.DCM.Conclusion,
        report_codes.NOT_EVALUATED if grade is None else report_codes.GRADES[grade],
    )
    sides = [hip.side for hip in statements.both_hips(screening) if hip.grade is grade]
    conclusion.ContentSequence = ContentSequence(
        [site(report_codes.PROXIMAL_FEMUR, _laterality(sides))]
    )
    return conclusion


def _laterality(sides: Sequence[Side]) -> Code:
    return report_codes.LATERALITY[sides[0]] if len(sides) == 1 else codes.SCT.Bilateral


def _not_evaluated(hip: Hip) -> ContentItem:
    """Return a hip without a grade with its reason: without it, it could be read as normal."""
    reason = report_codes.REASONS[hip.reason.code] if hip.reason else report_codes.NO_REASON
    item = code(report_codes.BONE_DENSITY_CLASS, report_codes.NOT_EVALUATED)
    item.ContentSequence = ContentSequence(
        [
            site(report_codes.PROXIMAL_FEMUR, report_codes.LATERALITY[hip.side]),
            code(report_codes.NOT_EVALUATED_REASON, reason, PROPERTY),
            text(codes.DCM.Comment, statements.hip_sentence(hip), PROPERTY),
        ]
    )
    return item
