"""What no validator sees in an SR: rules of ours over the tree, as lines of complaint.

Written without the builder's own code: only the standard's words and plain geometry.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
from pydicom import Dataset
from pydicom.sr._concepts_dict import concepts

from worker.pipeline.results import Grade, Screening

UNITS = {"%", "[hnsf'U]", "mm", "mm2", "{pixels}"}
GRADES = {
    "17621005": Grade.NORMAL,
    "312894000": Grade.OSTEOPENIA,
    "64859006": Grade.OSTEOPOROSIS,
}
ALGORITHM_NAME, ALGORITHM_VERSION = "111001", "111003"
PRIVATE = "99OSTEOSCREEN"
SITES_OWN = ("PerformedProcedureCodeSequence", "RequestedProcedureCodeSequence")
REGION_SIDES = {"24028007": "R", "7771000": "L"}


def items(tree: Dataset) -> Iterator[Dataset]:
    """Every content item below an item, depth first."""
    for item in tree.get("ContentSequence", ()):
        yield item
        yield from items(item)


def name(item: Dataset) -> str:
    """The code value of an item's concept name."""
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def value(item: Dataset) -> str:
    """The code value of a CODE item."""
    return str(item.ConceptCodeSequence[0].CodeValue)


def named(tree: Dataset, code_value: str) -> list[Dataset]:
    """All items of one concept name."""
    return [item for item in items(tree) if name(item) == code_value]


def groups(sr: Dataset) -> list[Dataset]:
    """The measurement groups."""
    return named(sr, "125007")


def not_evaluated(sr: Dataset) -> list[Dataset]:
    """The items that say of a hip that it has no grade."""
    return [item for item in named(sr, "BMD_CLASS") if value(item) == "373121007"]


def side_of(group: Dataset) -> str:
    """R or L of a group or an evaluation; empty for both."""
    return REGION_SIDES.get(value(named(group, "272741003")[0]), "")


def complaints(sr: Dataset, capture: Dataset | None, screening: Screening) -> list[str]:
    """Everything that is wrong; empty for a report that may leave the house."""
    found = [
        *_tracking(sr),
        *_probabilities(sr),
        *_regions(sr, capture, screening),
        *_measured_area(sr, capture, screening),
        *_sides(sr, screening),
        *_conclusion(sr),
        *_references(sr, capture),
        *_algorithm(sr, screening),
        *_notice(sr, screening),
        *_codes(sr),
    ]
    if sr.VerificationFlag != "UNVERIFIED":
        found.append("verified by nobody")
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
    if sum(uids.values()) != len(groups(sr)) or len(uids) != len(groups(sr)):
        yield "tracking UIDs missing or shared"
    if any(not named(group, "112039") for group in groups(sr)):
        yield "tracking identifier missing"


def _probabilities(sr: Dataset) -> Iterator[str]:
    for group in groups(sr):
        numbers = [item for item in items(group) if item.ValueType == "NUM"]
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
    sizes = {str(h.SOPInstanceUID): (h.Columns, h.Rows) for h in screening.headers}
    if capture is not None:
        sizes[str(capture.SOPInstanceUID)] = (capture.Columns, capture.Rows)
    for group in groups(sr):
        regions = named(group, "111030")
        if len(regions) != 1:
            yield "a group without exactly one region"
        for region in regions:
            dimensions = 3 if region.ValueType == "SCOORD3D" else 2
            points = np.reshape(region.GraphicData, (-1, dimensions))
            if region.GraphicType in ("POLYLINE", "POLYGON") and not np.allclose(
                points[0], points[-1]
            ):
                yield "an open outline"
            if dimensions == 2:
                image = str(
                    region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
                )
                if (points < 0).any() or (points > np.array(sizes[image]) + 1e-3).any():
                    yield "a point outside the image"


def _measured_area(sr: Dataset, capture: Dataset | None, screening: Screening) -> Iterator[str]:
    """Who measures attenuation says of how much, and it is what the outline encloses."""
    pictures = () if capture is None else (capture,)
    images = {str(h.SOPInstanceUID): h for h in (*screening.headers, *pictures)}
    for group in groups(sr):
        means, deviations = named(group, "112181"), named(group, "112183")
        areas, regions = named(group, "42798000"), named(group, "111030")
        if not len(means) == len(deviations) == len(areas) <= 1:
            yield "attenuation without its deviation or area"
        for area, region in zip(areas, regions, strict=False):
            said = float(area.MeasuredValueSequence[0].NumericValue)
            if abs(said - _area_mm2(region, images)) > 0.2:
                yield "an area that is not that of the outline"


def _area_mm2(region: Dataset, images: dict[str, Dataset]) -> float:
    """Half of the length of the summed cross products of neighbours, in one plane."""
    if region.ValueType == "SCOORD3D":
        points = np.reshape(region.GraphicData, (-1, 3))
    else:
        uid = region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        row_mm, column_mm = (float(v) for v in images[str(uid)].PixelSpacing)
        flat = np.reshape(region.GraphicData, (-1, 2)) * (column_mm, row_mm)
        points = np.column_stack([flat, np.zeros(len(flat))])
    points = points - points[0]
    return float(np.linalg.norm(np.cross(points[:-1], points[1:]).sum(axis=0)) / 2)


def _sides(sr: Dataset, screening: Screening) -> Iterator[str]:
    graded = {side_of(group) for group in groups(sr)}
    silent = {side_of(item) for item in not_evaluated(sr)}
    if graded | silent != {"R", "L"} or graded & silent:
        yield "a hip is passed over in silence"
    if any(len(named(item, "NA_REASON")) != 1 for item in not_evaluated(sr)):
        yield "no reason why a hip was not evaluated"
    by_uid = {str(header.SOPInstanceUID): header for header in screening.headers}
    for group in groups(sr):
        for region in named(group, "111030"):
            x = _center_x_mm(region, by_uid)
            # The phantom stands astride the origin: −x is the patient's right (LPS).
            if x is not None and (x < 0) != (side_of(group) == "R"):
                yield "laterality against the geometry"


def _center_x_mm(region: Dataset, headers: dict[str, Dataset]) -> float | None:
    if region.ValueType == "SCOORD3D":
        return float(np.mean(np.reshape(region.GraphicData, (-1, 3))[:-1, 0]))
    uid = str(region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
    if uid not in headers:
        return None
    header = headers[uid]
    points = np.reshape(region.GraphicData, (-1, 2))
    column = points[:-1, 0].mean()
    along = float(header.ImageOrientationPatient[0])
    spacing = float(header.PixelSpacing[1])
    return float(header.ImagePositionPatient[0]) + along * (column - 0.5) * spacing


def _conclusion(sr: Dataset) -> Iterator[str]:
    """The patient's grade is that of the worse hip, and names the sides that it rests on."""
    graded = [group for group in groups(sr) if named(group, "BMD_CLASS")]
    grades = [GRADES.get(value(item)) for group in graded for item in named(group, "BMD_CLASS")]
    worst = max((g for g in grades if g), key=list(Grade).index, default=None)
    (patient,) = named(sr, "121077") or [None]
    if patient is None or GRADES.get(value(patient)) is not worst:
        yield "the conclusion is not that of the worse hip"
    elif len(graded) == 1 and side_of(patient) != side_of(graded[0]):
        yield "the conclusion speaks of a hip that was not assessed"


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
    for code, wanted in ((ALGORITHM_NAME, model.name), (ALGORITHM_VERSION, model.version)):
        for place in (named(sr, "126010")[0], *groups(sr)):
            children = place.get("ContentSequence", ())
            said = [item.TextValue for item in children if name(item) == code]
            if said != [wanted]:
                yield f"algorithm item {code} missing or unequal"
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
    wanted = "Demonstration model" if screening.model.simulated else "Research use only"
    if wanted not in comments or "demographics" not in comments:
        yield "notice or statement on demographics missing"


def _codes(sr: Dataset) -> Iterator[str]:
    declared = {
        item.CodingSchemeDesignator for item in sr.get("CodingSchemeIdentificationSequence", ())
    }
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
    for key, said in meanings.items():
        if len(said) > 1:
            yield f"two meanings of {key}"


def _coded(sr: Dataset) -> Iterable[Dataset]:
    """Every code of the document, header included, but those of the site itself."""
    for element in sr.iterall():
        if element.VR == "SQ" and element.keyword not in SITES_OWN:
            yield from (item for item in element.value if "CodeMeaning" in item)


@cache
def public_meanings() -> dict[tuple[str, str], set[str]]:
    """Meanings of (scheme, value) in PS3.16's tables, without SNOMED's semantic tags."""
    meanings: dict[tuple[str, str], set[str]] = {}
    for scheme, keywords in concepts.items():
        for known in keywords.values():
            for code_value, (meaning, _) in known.items():
                plain = re.sub(r" \([a-z ]+\)$", "", meaning)
                meanings.setdefault((scheme, code_value), set()).update((meaning, plain))
    return meanings
