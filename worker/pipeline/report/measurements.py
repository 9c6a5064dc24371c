"""The measurement groups of the SR: TID 1410 of each femur and each neck."""

from collections.abc import Iterable, Sequence

from highdicom.sr import TrackingIdentifier
from highdicom.sr.value_types import ContentItem, ContentSequence
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from worker.pipeline import statements, wording
from worker.pipeline.capture.secondary_capture import RESULT
from worker.pipeline.image_numbers import neck_slice
from worker.pipeline.lumbar_results import Region
from worker.pipeline.report import codes as report_codes
from worker.pipeline.report.items import (
    CONTAINS,
    EVIDENCE,
    MODIFIER,
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
    HipCrop,
    ModelInfo,
    NeckAttenuation,
    NeckNotMeasured,
    Screening,
)
from worker.pipeline.uids import tracking_uid
from worker.pipeline.volume import Plane, Side

# More than the model's six decimals of a probability: nothing but floating-point noise is lost.
DECIMALS = 4


def algorithm(model: ModelInfo) -> list[ContentItem]:
    """Return name and version (TID 4019), repeated in every group, where viewers read them."""
    return [
        text(codes.DCM.AlgorithmName, model.name, MODIFIER),
        text(codes.DCM.AlgorithmVersion, model.version, MODIFIER),
    ]


def hip_groups(
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
            *_femur_region(hip, hip.plane, hip.crop, region_of),
            *_probabilities(hip),
            code(report_codes.BONE_DENSITY_CLASS, report_codes.GRADES[hip.grade]),
            *_neck_not_measured(hip),
            *(_visual_explanation(ds) for ds in pictures if is_explanation(ds)),
            *_neck_image(screening, hip),
        )
        if isinstance(hip.neck, NeckAttenuation):
            yield _group(
                screening,
                hip.side,
                report_codes.FEMORAL_NECK,
                region_of(hip.plane, hip.neck.outline_mm),
                attenuation(hip.neck),
                _neck_volume(hip.neck),
            )


def _femur_region(
    hip: Hip, plane: Plane, crop: HipCrop, region_of: RegionOf
) -> Iterable[ContentItem]:
    """Yield the outline of the femur, which bounds it, or the crop, which does not."""
    if hip.outline_mm is None:
        yield region_of(plane, crop.corners_mm)
        return
    yield code(codes.DCM.GeometricPurposeOfRegion, codes.SCT.BoundedBy)
    yield region_of(plane, hip.outline_mm)


def _neck_image(screening: Screening, hip: Hip) -> Iterable[ContentItem]:
    """Yield the source slice through the neck where the plane was reformatted."""
    if (header := neck_slice(screening, hip)) is not None:
        yield image(codes.DCM.SourceOfMeasurement, header)


def _neck_not_measured(hip: Hip) -> Iterable[ContentItem]:
    if isinstance(hip.neck, NeckNotMeasured):
        yield text(codes.DCM.Comment, wording.NECK_NOT_MEASURED.format(reason=hip.neck.text))


def attenuation(measured: NeckAttenuation | Region) -> ContentItem:
    """Return TID 1419: the mean over the region of the group.

    Deviation and area stand below the mean, as the numbers that support it (TID 300): viewers
    label a region with every number of its group, and longer labels cover that of the femur
    (0039).
    """
    unit = codes.UCUM.HounsfieldUnit
    mean = number(codes.DCM.MeanAttenuationCoefficient, round(measured.mean_hu, DECIMALS), unit)
    mean.ContentSequence = ContentSequence(
        number(name, round(value, DECIMALS), its_unit, EVIDENCE)
        for name, value, its_unit in (
            (codes.DCM.StandardDeviationOfAttenuationCoefficient, measured.sd_hu, unit),
            (codes.SCT.Area, measured.area_mm2, codes.UCUM.SquareMillimeter),
        )
    )
    return mean


def _neck_volume(neck: NeckAttenuation) -> ContentItem:
    words = wording.NECK_REGION.format(volume_cm3=neck.volume_mm3 / 1000)
    return text(codes.DCM.Comment, words)


def _group(
    screening: Screening, side: Side, structure: Code, *items: ContentItem
) -> ContentItem:
    """Return TID 1410 of a structure of one hip."""
    laterality = report_codes.LATERALITY[side]
    study = str(screening.source.StudyInstanceUID)
    tracking = TrackingIdentifier(
        tracking_uid(study, laterality.meaning, structure.value),
        f"{laterality.meaning}: {structure.meaning.lower()}",
    )
    place = site(structure, laterality)
    return measurement_group(tracking, structure, place, screening.model, items)


def measurement_group(
    tracking: TrackingIdentifier,
    structure: Code,
    place: ContentItem,
    model: ModelInfo,
    items: Iterable[ContentItem],
) -> ContentItem:
    """Return TID 1410: the items that every region begins with, then ``items``.

    ``place`` : the finding site. ``model`` : the algorithm that measured.
    """
    return container(
        codes.DCM.MeasurementGroup,
        *tracking,
        # The structure, not the grade: searches for findings must not count it as a diagnosis.
        code(codes.DCM.Finding, structure),
        place,
        *algorithm(model),
        *items,
        relationship=CONTAINS,
    )


def site(structure: Code, laterality: Code) -> ContentItem:
    """Return the finding site with its side."""
    item = code(codes.SCT.FindingSite, structure, MODIFIER)
    item.ContentSequence = ContentSequence([code(codes.SCT.Laterality, laterality, MODIFIER)])
    return item


def _probabilities(hip: Hip) -> Iterable[ContentItem]:
    probabilities = hip.probabilities or {}
    for grade in Grade:
        percent = round(100 * float(probabilities[grade]), DECIMALS)
        name = report_codes.PROBABILITIES[hip.side][grade]
        item = number(name, percent, codes.UCUM.Percent)
        finding = code(codes.DCM.Finding, report_codes.GRADES[grade], MODIFIER)
        item.ContentSequence = ContentSequence([finding])
        yield item


def is_explanation(picture: Dataset) -> bool:
    """Return whether a picture has the Grad-CAM on its grid, as the result picture has not."""
    return RESULT not in picture.ImageType


def _visual_explanation(picture: Dataset) -> ContentItem:
    """Return an image of the Grad-CAM with its method from CID 217."""
    item = image(codes.DCM.VisualExplanation, picture)
    method = code(
        report_codes.MEASUREMENT_METHOD, codes.DCM.GradientWeightedClassActivation, MODIFIER
    )
    item.ContentSequence = ContentSequence([method])
    return item
