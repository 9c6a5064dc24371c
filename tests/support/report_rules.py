"""Rules for our SR that no third-party validator checks.

The rules do not use code of the report builder, only codes of the standard and geometry.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
from pydicom import Dataset
from pydicom.sr._concepts_dict import concepts

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
from tests.support.spine_results import by_structure
from worker.pipeline.results import Grade, Screening

__all__ = [
    "GRADES", "REGION_SIDES", "groups", "items", "name", "named", "not_evaluated",
    "public_meanings", "side_of", "value", "violations",
]  # fmt: skip

UNITS = {"%", "[hnsf'U]", "mm", "mm2", "{pixels}"}
PRIVATE = "99OSTEOSCREEN"
LOCAL_CODE_SEQUENCES = ("PerformedProcedureCodeSequence", "RequestedProcedureCodeSequence")
MIN_POINTS = 9


def violations(sr: Dataset, capture: Dataset | None, screening: Screening) -> list[str]:
    """Return the violated rules; empty for a valid report."""
    found = [
        *_tracking(sr),
        *_probabilities(sr),
        *_regions(sr, capture, screening),
        *_measured_area(sr, capture, screening),
        *_sides(sr, screening),
        *_vertebrae(sr, screening),
        *_conclusion(sr),
        *_impression(sr, screening),
        *_references(sr, capture),
        *_algorithm(sr, screening),
        *_notice(sr, screening),
        *_codes(sr),
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


def _regions(sr: Dataset, capture: Dataset | None, screening: Screening) -> Iterator[str]:
    sizes = {str(h.SOPInstanceUID): (h.Columns, h.Rows) for h in screening.all_headers}
    if capture is not None:
        sizes[str(capture.SOPInstanceUID)] = (capture.Columns, capture.Rows)
    for group in groups(sr):
        regions = named(group, "111030")
        if len(regions) != 1:
            yield "a group without exactly one region"
        for region in regions:
            dimensions = 3 if region.ValueType == "SCOORD3D" else 2
            points = np.reshape(region.GraphicData, (-1, dimensions))
            if len(points) < MIN_POINTS:
                yield "an outline of so few points that OHIF takes it for a rectangle"
            if region.GraphicType in ("POLYLINE", "POLYGON") and not np.allclose(
                points[0], points[-1]
            ):
                yield "an open outline"
            if dimensions == 2:
                limits = np.array(sizes[_image_uid(region)]) + 1e-3
                if (points < 0).any() or (points > limits).any():
                    yield "a point outside the image"


def _measured_area(sr: Dataset, capture: Dataset | None, screening: Screening) -> Iterator[str]:
    """Attenuation has its deviation and area, and the area is that of the outline."""
    captures = () if capture is None else (capture,)
    images = {str(h.SOPInstanceUID): h for h in (*screening.all_headers, *captures)}
    for group in groups(sr):
        means, deviations = named(group, "112181"), named(group, "112183")
        areas, regions = named(group, "42798000"), named(group, "111030")
        if not len(means) == len(deviations) == len(areas) <= 1:
            yield "attenuation without its deviation or area"
        for area, region in zip(areas, regions, strict=False):
            if level_of(group) and not _is_axial(images[_image_uid(region)]):
                continue  # the area is that of the ellipse, the outline its section
            area_mm2 = float(area.MeasuredValueSequence[0].NumericValue)
            # 32 points of an ellipse enclose 0.6 % less than it.
            allowed = 0.01 * area_mm2 if level_of(group) else 0.2
            if abs(area_mm2 - _area_mm2(region, images)) > allowed:
                yield "an area that is not that of the outline"


def _is_axial(header: Dataset) -> bool:
    across = np.cross(*np.reshape(header.ImageOrientationPatient, (2, 3)))
    return bool(abs(across[2]) > 0.7)


def _area_mm2(region: Dataset, images: dict[str, Dataset]) -> float:
    """Return the area of a planar outline: half the norm of the summed cross products."""
    if region.ValueType == "SCOORD3D":
        points = np.reshape(region.GraphicData, (-1, 3))
    else:
        row_mm, column_mm = (float(v) for v in images[_image_uid(region)].PixelSpacing)
        flat = np.reshape(region.GraphicData, (-1, 2)) * (column_mm, row_mm)
        points = np.column_stack([flat, np.zeros(len(flat))])
    points = points - points[0]
    return float(np.linalg.norm(np.cross(points[:-1], points[1:]).sum(axis=0)) / 2)


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
            x = _center_x_mm(region, by_uid)
            # The origin is between the hips of the phantom: −x is the patient's right (LPS).
            if x is not None and (x < 0) != (side_of(group) == "R"):
                yield "laterality contradicts the geometry"


def _vertebrae(sr: Dataset, screening: Screening) -> Iterator[str]:
    """Each measured vertebra has one group with its value, on the slice through its center."""
    found = [group for group in groups(sr) if level_of(group)]
    measured = by_structure(screening.lumbar)
    if [level_of(group) for group in found] != [structure for structure, _ in measured]:
        yield "the groups of vertebrae are not those that were measured"
        return
    images = {str(header.SOPInstanceUID): header for header in screening.all_headers}
    for group, (structure, region) in zip(found, measured, strict=True):
        words = [item.TextValue for item in named(group, "121106")]
        if structure == "lumbar" and not any("Level uncertain" in text for text in words):
            yield "a vertebra of an uncertain level does not say so"
        (mean,) = named(group, "112181")
        if abs(float(mean.MeasuredValueSequence[0].NumericValue) - region.mean_hu) > 1e-3:
            yield "the attenuation of a vertebra is another one"
        for outline in named(group, "111030"):
            header = images[_image_uid(outline)]
            off = np.subtract(_center_mm(outline, header), region.center_mm)
            if np.abs(off).max() > max(3.0, float(header.SliceThickness) / 2 + 0.5):
                yield "the outline of a vertebra lies elsewhere"


def _center_mm(outline: Dataset, header: Dataset) -> np.ndarray:
    """Return the middle of an outline on a source slice, patient LPS mm."""
    points = np.reshape(outline.GraphicData, (-1, 2))
    column, row = (points.min(axis=0) + points.max(axis=0)) / 2 - 0.5
    right, down = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(float)
    row_mm, column_mm = (float(v) for v in header.PixelSpacing)
    origin = np.array(header.ImagePositionPatient, float)
    return np.asarray(origin + column * column_mm * right + row * row_mm * down)


def _center_x_mm(region: Dataset, headers: dict[str, Dataset]) -> float | None:
    if region.ValueType == "SCOORD3D":
        return float(np.mean(np.reshape(region.GraphicData, (-1, 3))[:-1, 0]))
    header = headers.get(_image_uid(region))
    if header is None:
        return None
    column = np.reshape(region.GraphicData, (-1, 2))[:-1, 0].mean()
    column_mm = (column - 0.5) * float(header.PixelSpacing[1])
    return float(header.ImagePositionPatient[0] + header.ImageOrientationPatient[0] * column_mm)


def _image_uid(region: Dataset) -> str:
    return str(region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


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


def _codes(sr: Dataset) -> Iterator[str]:
    schemes = sr.get("CodingSchemeIdentificationSequence", ())
    declared = {item.CodingSchemeDesignator for item in schemes}
    meanings: dict[tuple[str, str], set[str]] = {}
    for code in _coded(sr):
        meanings.setdefault((code.CodeValue, code.CodingSchemeDesignator), set()).add(
            code.CodeMeaning
        )
        public = public_meanings().get((code.CodingSchemeDesignator, code.CodeValue))
        if public and code.CodeMeaning not in public:
            yield f"altered meaning: {code.CodeMeaning}"
        if len(code.CodeValue) > 16 or len(code.CodeMeaning) > 64:
            yield f"code too long: {code.CodeValue}"
        if code.CodingSchemeDesignator == PRIVATE and PRIVATE not in declared:
            yield "private scheme not declared"
    ambiguous = [key for key, different in meanings.items() if len(different) > 1]
    yield from (f"two meanings of {key}" for key in ambiguous)


def _coded(sr: Dataset) -> Iterable[Dataset]:
    """Yield every code of the document, header included, except local procedure codes."""
    for element in sr.iterall():
        if element.VR == "SQ" and element.keyword not in LOCAL_CODE_SEQUENCES:
            yield from (item for item in element.value if "CodeMeaning" in item)


@cache
def public_meanings() -> dict[tuple[str, str], set[str]]:
    """Return the meanings of (scheme, value) in PS3.16, with and without semantic tags."""
    meanings: dict[tuple[str, str], set[str]] = {}
    for scheme, keywords in concepts.items():
        for known in keywords.values():
            for code_value, (meaning, _) in known.items():
                plain = re.sub(r" \([a-z ]+\)$", "", meaning)
                meanings.setdefault((scheme, code_value), set()).update((meaning, plain))
    return meanings
