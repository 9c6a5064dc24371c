"""The structured report as a DICOM object: header, evidence and content (IHE AIR)."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from worker.pipeline import statements, wording
from worker.pipeline.derived_header import (
    MANUFACTURER,
    derived_dataset,
    finalize,
    processing_equipment,
    recode_element,
    reference,
)
from worker.pipeline.header_values import items_of, text_of
from worker.pipeline.impression import (
    impression,
    is_under_who_age,
    qualifications,
    recommendation,
)
from worker.pipeline.known_dxa import dxa_lines
from worker.pipeline.lumbar_statements import lumbar_comments
from worker.pipeline.patient_history import NO_HISTORY, PatientHistory
from worker.pipeline.previous import report_lines
from worker.pipeline.report import codes
from worker.pipeline.report.content import Words, content_tree
from worker.pipeline.report.regions import SopClass, region_builder
from worker.pipeline.results import MEASUREMENT, Screening
from worker.pipeline.uids import CODING_SCHEME_UID

SERIES_NUMBER = 9001
TITLE, MEASUREMENT_TITLE = "AI hip bone density", "Lumbar spine attenuation"
SOP_CLASS_UIDS = {
    "comprehensive3d": Comprehensive3DSRStorage,  # what IHE AIR requires
    "comprehensive": ComprehensiveSRStorage,  # for older workstations
}


def build_report(
    screening: Screening,
    pictures: Sequence[Dataset],
    *,
    at: datetime,
    sop_class: SopClass = "comprehensive3d",
    predecessor: Dataset | None = None,
    history: PatientHistory = NO_HISTORY,
) -> Dataset:
    """Build the SR of a screening, ready to be written; equal arguments give equal bytes.

    ``pictures`` : result picture, overlay picture and parametric map; none where no hip is
    graded. ``at`` : aware, the only clock value. ``predecessor`` : the SR of this series that
    the new one replaces.

    Raises ValueError for a graded hip without plane or crop.
    """
    ds = derived_dataset(screening.source, screening.model, SOP_CLASS_UIDS[sop_class])
    for equipment in _second_algorithm(screening):
        ds.ContributingEquipmentSequence.insert(-1, equipment)
    ds.update(_series_module(screening))
    ds.update(_document_module(screening, pictures))
    if predecessor is not None:
        ds.PredecessorDocumentsSequence = [evidence([predecessor])]
    words = Words(
        impression(screening, history.previous),
        tuple(qualifications(screening)),
        recommendation(screening),
        tuple(_comments(screening, history)),
    )
    ds.update(content_tree(screening, pictures, region_builder(screening, pictures), words))
    return finalize(ds, "sr", at)


def _series_module(screening: Screening) -> Dataset:
    """Return the SR Document Series Module (PS3.3 C.17.1)."""
    ds = Dataset()
    ds.Modality = "SR"
    ds.SeriesNumber = SERIES_NUMBER
    title = MEASUREMENT_TITLE if screening.model == MEASUREMENT else TITLE
    ds.SeriesDescription = f"{title} - {statements.short_notice(screening.model)}"
    ds.ReferencedPerformedProcedureStepSequence = []
    return ds


def _document_module(screening: Screening, pictures: Sequence[Dataset]) -> Dataset:
    """Return the SR Document General Module without predecessor (PS3.3 C.17.2)."""
    ds, source = Dataset(), screening.source
    performed = recode_element(source, "ProcedureCodeSequence")
    ds.PerformedProcedureCodeSequence = performed.value if performed else []
    ds.CompletionFlag = "COMPLETE"
    ds.CompletionFlagDescription = f"{statements.short_notice(screening.model)}, not reviewed"
    # Never VERIFIED: no person has reviewed the content.
    ds.VerificationFlag = "UNVERIFIED"
    ds.PreliminaryFlag = "PRELIMINARY"
    ds.CurrentRequestedProcedureEvidenceSequence = [
        evidence([*screening.all_headers, *pictures])
    ]
    if text_of(source, "AccessionNumber"):
        ds.ReferencedRequestSequence = [_request(source)]
    ds.CodingSchemeIdentificationSequence = [_private_scheme()]
    return ds


def _second_algorithm(screening: Screening) -> Iterable[Dataset]:
    """Yield the algorithm that measures the spine beside a grade (IHE AIR 6.5.3.1).

    The last contributing equipment is that of the device observer.
    """
    lumbar = screening.lumbar
    if screening.model != MEASUREMENT and lumbar is not None and lumbar.regions:
        yield processing_equipment(MEASUREMENT)


def _comments(screening: Screening, history: PatientHistory) -> Iterable[str]:
    yield statements.notice(screening.model)
    if images := statements.images_read(screening):
        yield images
    yield from report_lines(screening, history.previous)
    yield from dxa_lines(history.dxa)
    yield statements.demographics(screening)
    yield statements.limitations(screening)
    yield from lumbar_comments(screening)
    if halves := statements.separate_halves_remark(screening):
        yield wording.CAPTURE.format(remark=halves)
    for warning in screening.warnings:
        # The qualifications of the impression say it.
        if not (warning.startswith("WHO category") and is_under_who_age(screening)):
            yield wording.WARNING.format(warning=warning)


def evidence(instances: Iterable[Dataset]) -> Dataset:
    """Return the instances of one study by series (PS3.3 C.17.2.1), each once."""
    by_series: dict[str, dict[str, Dataset]] = {}
    study = Dataset()
    for instance in instances:
        study.StudyInstanceUID = instance.StudyInstanceUID
        series_uid, sop_uid = str(instance.SeriesInstanceUID), str(instance.SOPInstanceUID)
        by_series.setdefault(series_uid, {})[sop_uid] = reference(instance)
    study.ReferencedSeriesSequence = []
    for series_instance_uid, references in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID = series_instance_uid
        series.ReferencedSOPSequence = list(references.values())
        study.ReferencedSeriesSequence.append(series)
    return study


def _request(source: Dataset) -> Dataset:
    """Return the request of the CT, as far as the source states it (PS3.3 C.17.2.1)."""
    attributes = next(iter(items_of(source, "RequestAttributesSequence")), Dataset())
    request = Dataset()
    request.StudyInstanceUID = str(source.StudyInstanceUID)
    request.ReferencedStudySequence = []
    request.RequestedProcedureCodeSequence = []
    request.AccessionNumber = ""
    request.PlacerOrderNumberImagingServiceRequest = ""
    request.FillerOrderNumberImagingServiceRequest = ""
    request.RequestedProcedureID = ""
    request.RequestedProcedureDescription = ""
    for item, keyword in (
        (source, "AccessionNumber"),
        (attributes, "RequestedProcedureID"),
        (attributes, "RequestedProcedureDescription"),
    ):
        if element := recode_element(item, keyword):
            request.add(element)
    return request


def _private_scheme() -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = codes.PRIVATE_SCHEME
    item.CodingSchemeUID = CODING_SCHEME_UID
    item.CodingSchemeName = "Concepts of the osteoscreen structured report"
    item.CodingSchemeVersion = "2"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item
