"""Rules for our SR that no third-party validator checks.

The rules do not use code of the report builder, only codes of the standard and geometry.
"""

from collections import Counter
from collections.abc import Iterator

from pydicom import Dataset

from tests.support.report_codes import code_violations
from tests.support.report_outlines import (
    area_violations,
    center_x_mm,
    region_violations,
    vertebra_violations,
)
from tests.support.report_tree import (
    GRADES,
    REGION_SIDES,
    grade_of,
    groups,
    hip_groups,
    items,
    level_of,
    name,
    named,
    not_evaluated,
    side_of,
    value,
)
from worker.pipeline.results import Grade, Screening

UNITS = {"%", "[hnsf'U]", "mm", "mm2", "{pixels}"}


def violations(sr: Dataset, capture: Dataset | None, screening: Screening) -> list[str]:
    """Return the violated rules; empty for a valid report."""
    found = [
        *_tracking(sr),
        *_probabilities(sr),
        *region_violations(sr, capture, screening),
        *area_violations(sr, capture, screening),
        *_sides(sr, screening),
        *vertebra_violations(sr, screening),
        *_conclusion(sr),
        *_impression(sr, screening),
        *_references(sr, capture),
        *_algorithm(sr, screening),
        *_notice(sr, screening),
        *code_violations(sr),
    ]
    if sr.VerificationFlag != "UNVERIFIED":
        found.append("verified, though no observer verified it")
    if not named(sr, "121049"):
        found.append("no language")
    if not named(sr, "111028") or not named(sr, "126200"):
        found.append("no image library")
    for item in [sr, *items(sr)]:
        if item.ValueType == "CONTAINER" and item.ContinuityOfContent != "SEPARATE":
            found.append("a container is not SEPARATE")
    return found


def _tracking(sr: Dataset) -> Iterator[str]:
    uids = Counter(str(item.UID) for group in groups(sr) for item in named(group, "112040"))
    if not len(uids) == uids.total() == len(groups(sr)):
        yield "tracking UIDs missing or shared"
    if any(not named(group, "112039") for group in groups(sr)):
        yield "tracking identifier missing"


def _probabilities(sr: Dataset) -> Iterator[str]:
    for group in hip_groups(sr):
        numbers = [item for item in items(group) if item.ValueType == "NUM"]
        names = {name(item)[-2:] for item in numbers if name(item).startswith("P_")}
        if names - {f"_{side_of(group)}"}:
            yield "a probability with the name of the other side"
        percents = {
            GRADES[value(item.ContentSequence[0])]: float(
                item.MeasuredValueSequence[0].NumericValue
            )
            for item in numbers
            if item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "%"
        }
        units = {
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
            for item in numbers
        }
        if not units <= UNITS:
            yield f"unknown unit in {units}"
        if not percents:
            continue
        if any(not 0 <= percent <= 100 for percent in percents.values()):
            yield "probability out of range"
        if abs(sum(percents.values()) - 100) > 0.05 or len(percents) != 3:
            yield "probabilities do not sum to 100 %"
        classes = [GRADES.get(value(item)) for item in named(group, "BMD_CLASS")]
        if classes != [max(percents, key=lambda grade: percents[grade])]:
            yield "grade is not the most probable class"


def _sides(sr: Dataset, screening: Screening) -> Iterator[str]:
    graded = {side_of(group) for group in hip_groups(sr)}
    not_graded = {side_of(item) for item in not_evaluated(sr)}
    if graded | not_graded != {"R", "L"} or graded & not_graded:
        yield "a hip is passed over: it must have either groups or an evaluation"
    if any(len(named(item, "NA_REASON")) != 1 for item in not_evaluated(sr)):
        yield "no reason why a hip was not evaluated"
    by_uid = {str(header.SOPInstanceUID): header for header in screening.headers}
    for group in hip_groups(sr):
        for region in named(group, "111030"):
            x = center_x_mm(region, by_uid)
            # The origin is between the hips of the phantom: −x is the patient's right (LPS).
            if x is not None and (x < 0) != (side_of(group) == "R"):
                yield "laterality contradicts the geometry"


def _conclusion(sr: Dataset) -> Iterator[str]:
    """The patient's grade is the worse one, and its side is that of the hips that have it."""
    graded = [group for group in groups(sr) if named(group, "BMD_CLASS")]
    grades = [GRADES.get(value(item)) for group in graded for item in named(group, "BMD_CLASS")]
    worst = max((g for g in grades if g), key=list(Grade).index, default=None)
    (patient,) = named(sr, "121077") or [None]
    if patient is None or GRADES.get(value(patient)) is not worst:
        yield "the conclusion is not that of the worse hip"
    elif graded:
        worse = {side_of(g) for g in graded if grade_of(g) is worst}
        if side_of(patient) != (worse.pop() if len(worse) == 1 else ""):
            yield "the conclusion is not of the hips that have the grade"
    assessed = [REGION_SIDES.get(value(item), "") for item in named(sr, "ASSESSED_SIDES")]
    sides = {side_of(group) for group in graded}
    if assessed != ([] if not sides else [sides.pop() if len(sides) == 1 else ""]):
        yield "the assessed sides are not those of the groups"


def _impression(sr: Dataset, screening: Screening) -> Iterator[str]:
    """The impression comes first; only a model that has seen patients recommends DXA."""
    content = [item for item in sr.ContentSequence if item.RelationshipType == "CONTAINS"]
    if name(content[0]) != "121073":
        yield "the impression is not the first content"
    elif ("DEMONSTRATION" in content[0].TextValue) != screening.model.simulated:
        yield "the impression does not say what the model is"
    recommended = [value(item) for item in named(sr, "121075") if item.ValueType == "CODE"]
    low = any(hip.grade in (Grade.OSTEOPENIA, Grade.OSTEOPOROSIS) for hip in screening.hips)
    if low and not screening.model.simulated and recommended != ["241686001"]:
        yield "low density without the recommendation of DXA"
    if screening.model.simulated and named(sr, "121074"):
        yield "a demonstration model recommends"


def _references(sr: Dataset, capture: Dataset | None) -> Iterator[str]:
    evidence = {
        str(sop.ReferencedSOPInstanceUID)
        for study in sr.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for sop in series.ReferencedSOPSequence
    }
    used = {
        str(sop.ReferencedSOPInstanceUID)
        for item in items(sr)
        for sop in item.get("ReferencedSOPSequence", ())
    }
    if not used <= evidence:
        yield "a reference that is not in the evidence"
    if capture is not None and str(capture.SOPInstanceUID) not in used:
        yield "the capture is not referenced"


def _algorithm(sr: Dataset, screening: Screening) -> Iterator[str]:
    model = screening.model
    for code, expected in (("111001", model.name), ("111003", model.version)):
        for parent in (named(sr, "126010")[0], *hip_groups(sr)):
            children = parent.get("ContentSequence", ())
            values = [item.TextValue for item in children if name(item) == code]
            if values != [expected]:
                yield f"algorithm item {code} missing or different"
    for group in groups(sr):
        own = [item.TextValue for code in ("111001", "111003") for item in named(group, code)]
        if level_of(group) and own != ["osteoscreen-lumbar", "1"]:
            yield "the algorithm of a vertebra missing or different"
    equipment = sr.ContributingEquipmentSequence[-1]
    pairs = (
        (named(sr, "121012")[0].UID, equipment.DeviceUID),
        (named(sr, "121013")[0].TextValue, equipment.ManufacturerModelName),
        (named(sr, "121014")[0].TextValue, equipment.Manufacturer),
        (named(sr, "121015")[0].TextValue, equipment.ManufacturerModelName),
        (model.version, equipment.SoftwareVersions),
    )
    if any(in_tree != in_header for in_tree, in_header in pairs):
        yield "device observer and contributing equipment differ"


def _notice(sr: Dataset, screening: Screening) -> Iterator[str]:
    status = [value(item) for item in named(sr, "USE_STATUS")]
    if status != ["DEMO_ONLY" if screening.model.simulated else "RESEARCH_ONLY"]:
        yield "status of use missing"
    comments = " ".join(item.TextValue for item in named(sr, "121106"))
    expected = "Demonstration model" if screening.model.simulated else "Research use only"
    if expected not in comments or "demographics" not in comments:
        yield "notice or statement on demographics missing"
