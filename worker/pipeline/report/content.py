"""The content tree of the SR: TID 1500 with the measurement groups of each hip (TID 1410)."""

from collections.abc import Iterable, Sequence

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
    number,
    text,
)
from worker.pipeline.report.regions import RegionOf
from worker.pipeline.results import (
    Grade,
    Hip,
    ModelInfo,
    NeckAttenuation,
    NeckNotMeasured,
    Screening,
)
from worker.pipeline.uids import device_uid, tracking_uid
from worker.pipeline.value_representation import MAX_ITEMS
from worker.pipeline.volume import Side


def content_tree(
    screening: Screening,
    pictures: Sequence[Dataset],
    region_of: RegionOf,
    comments: Iterable[str],
) -> ContentItem:
    """Return the root container.

    ``pictures`` : the images of the Grad-CAM. ``comments`` : texts after the conclusion, one
    item each.
    """
    return container(
        codes.DCM.ImagingMeasurementReport,
        code(codes.DCM.LanguageOfContentItemAndDescendants, report_codes.ENGLISH, MODIFIER),
        *_device_observer(screening.model),
        *_procedures_reported(screening.source),
        image_library(screening),
        container(
            codes.DCM.ImagingMeasurements,
            *_algorithm(screening.model),
            *_parameters(screening.model),
            *_hip_groups(screening, pictures, region_of),
            relationship=CONTAINS,
        ),
        _conclusion(screening, comments),
        template="1500",
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

    CT where the source states none or private codes, which the header holds.
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
    return [
        code(codes.DCM.ProcedureReported, procedure, MODIFIER)
        for procedure in procedures or [report_codes.CT_PROCEDURE]
    ]


def _algorithm(model: ModelInfo) -> list[ContentItem]:
    """Return name and version (TID 4019), repeated in every group, where viewers read them."""
    return [
        text(codes.DCM.AlgorithmName, model.name, MODIFIER),
        text(codes.DCM.AlgorithmVersion, model.version, MODIFIER),
    ]


def _parameters(model: ModelInfo) -> list[ContentItem]:
    """Return the remaining items of TID 4019, which the report holds once."""
    window = f"window center {WINDOW_CENTER_HU} HU, width {WINDOW_WIDTH_HU} HU"
    return [
        *(
            text(codes.DCM.AlgorithmParameters, parameter, MODIFIER)
            for parameter in (
                f"Weights SHA-256 {model.sha256}",
                f"Input: {model.modality}; {window}",
                f"Training data: {model.training_data}",
                statements.WORSE_HIP_RULE,
            )
        ),
        code(codes.DCM.AlgorithmFamily, codes.DCM.ArtificialIntelligence, MODIFIER),
    ]


def _hip_groups(
    screening: Screening, pictures: Sequence[Dataset], region_of: RegionOf
) -> Iterable[ContentItem]:
    """Yield TID 1410 for each region.

    Every measurement group has a region: OHIF takes the first coordinates of every group and
    stops reading the report at one without.
    """
    for hip in statements.both_hips(screening):
        if hip.grade is None:
            continue
        if hip.plane is None or hip.crop is None:
            raise ValueError(f"The graded hip {hip.side} has no plane or crop.")
        yield _group(
            screening,
            hip.side,
            report_codes.PROXIMAL_FEMUR,
            region_of(hip.plane, hip.crop.corners_mm),
            *_probabilities(hip),
            code(report_codes.BONE_DENSITY_CLASS, report_codes.GRADES[hip.grade]),
            *_neck_not_measured(hip),
            *(_visual_explanation(picture) for picture in pictures),
        )
        if isinstance(hip.neck, NeckAttenuation):
            yield _group(
                screening,
                hip.side,
                report_codes.FEMORAL_NECK,
                region_of(hip.plane, hip.neck.outline_mm),
                *_attenuation(hip.neck),
            )


def _neck_not_measured(hip: Hip) -> Iterable[ContentItem]:
    if isinstance(hip.neck, NeckNotMeasured):
        yield text(codes.DCM.Comment, f"Neck attenuation was not measured. {hip.neck.text}")


def _attenuation(neck: NeckAttenuation) -> Iterable[ContentItem]:
    """Yield TID 1419 for the region of the group, which the last item describes."""
    mean, sd, unit = round(neck.mean_hu, 1), round(neck.sd_hu, 1), codes.UCUM.HounsfieldUnit
    area = round(neck.area_mm2, 1)
    yield number(codes.DCM.MeanAttenuationCoefficient, mean, unit)
    yield number(codes.DCM.StandardDeviationOfAttenuationCoefficient, sd, unit)
    yield number(codes.SCT.Area, area, codes.UCUM.SquareMillimeter)
    yield text(codes.DCM.Comment, statements.neck_region(neck))


def _group(
    screening: Screening, side: Side, structure: Code, *items: ContentItem
) -> ContentItem:
    """Return TID 1410: the items that every region begins with, then ``items``."""
    laterality = report_codes.LATERALITY[side]
    study = str(screening.source.StudyInstanceUID)
    uid = tracking_uid(study, laterality.meaning, structure.value)
    title = f"{laterality.meaning}: {structure.meaning.lower()}"
    return container(
        codes.DCM.MeasurementGroup,
        text(codes.DCM.TrackingIdentifier, title, CONTEXT),
        UIDRefContentItem(codes.DCM.TrackingUniqueIdentifier, uid, CONTEXT),
        # The structure, not the grade: searches for findings must not count it as a diagnosis.
        code(codes.DCM.Finding, structure),
        _site(structure, laterality),
        *_algorithm(screening.model),
        *items,
        relationship=CONTAINS,
    )


def _site(structure: Code, laterality: Code) -> ContentItem:
    site = code(codes.SCT.FindingSite, structure, MODIFIER)
    site.ContentSequence = ContentSequence([code(codes.SCT.Laterality, laterality, MODIFIER)])
    return site


def _probabilities(hip: Hip) -> Iterable[ContentItem]:
    percents = statements.percents(hip, 1)
    for grade in Grade:
        item = number(report_codes.PROBABILITIES[grade], percents[grade], codes.UCUM.Percent)
        finding = code(codes.DCM.Finding, report_codes.GRADES[grade], MODIFIER)
        item.ContentSequence = ContentSequence([finding])
        yield item


def _visual_explanation(picture: Dataset) -> ContentItem:
    """Return an image of the Grad-CAM with its method from CID 217."""
    item = image(codes.DCM.VisualExplanation, picture)
    method = code(
        report_codes.MEASUREMENT_METHOD, codes.DCM.GradientWeightedClassActivation, MODIFIER
    )
    item.ContentSequence = ContentSequence([method])
    return item


def _conclusion(screening: Screening, comments: Iterable[str]) -> ContentItem:
    """Return the qualitative evaluations of TID 1500.

    The patient's grade, hips without a grade, status of use, comments.
    """
    status = (
        report_codes.DEMONSTRATION_ONLY
        if screening.model.simulated
        else report_codes.RESEARCH_ONLY
    )
    return container(
        report_codes.QUALITATIVE_EVALUATIONS,
        _patient(screening),
        *(_not_evaluated(hip) for hip in statements.both_hips(screening) if hip.grade is None),
        code(report_codes.USE_STATUS, status),
        *(text(codes.DCM.Comment, comment) for comment in comments),
        relationship=CONTAINS,
    )


def _patient(screening: Screening) -> ContentItem:
    """Return the grade of the worse hip; its site names the assessed sides only."""
    sides = statements.graded_sides(screening)
    grade = screening.grade
    conclusion = code(
        codes.DCM.Conclusion,
        report_codes.NOT_EVALUATED if grade is None else report_codes.GRADES[grade],
    )
    laterality = report_codes.LATERALITY[sides[0]] if len(sides) == 1 else codes.SCT.Bilateral
    conclusion.ContentSequence = ContentSequence(
        [_site(report_codes.PROXIMAL_FEMUR, laterality)]
    )
    return conclusion


def _not_evaluated(hip: Hip) -> ContentItem:
    """Return a hip without a grade with its reason: without it, it could be read as normal."""
    reason = report_codes.REASONS[hip.reason.code] if hip.reason else report_codes.NO_REASON
    item = code(report_codes.BONE_DENSITY_CLASS, report_codes.NOT_EVALUATED)
    item.ContentSequence = ContentSequence(
        [
            _site(report_codes.PROXIMAL_FEMUR, report_codes.LATERALITY[hip.side]),
            code(report_codes.NOT_EVALUATED_REASON, reason, PROPERTY),
            text(codes.DCM.Comment, statements.hip_sentence(hip), PROPERTY),
        ]
    )
    return item
