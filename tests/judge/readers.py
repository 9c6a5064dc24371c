"""Judges that are readers: highdicom's parser, and the way OHIF walks a report."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import highdicom
from pydicom import Dataset, dcmread

from tests.judge.finding import Finding
from tests.report_rules import groups, items, name, named

POLYGONS = {"SCOORD": "POLYLINE", "SCOORD3D": "POLYGON"}


def srread(paths: Sequence[Path]) -> Iterator[Finding]:
    """highdicom reads every group back, with its region, finding and measurements."""
    for path in paths:
        if dcmread(path).Modality != "SR":
            continue
        report = highdicom.sr.srread(path)
        found = report.content.get_planar_roi_measurement_groups()
        others = report.content.get_image_measurement_groups()
        if len(found) != len(groups(report)) or others:
            yield Finding(path, f"{len(found)} of {len(groups(report))} groups read back")
        for group in found:
            if not group.get_measurements() or not group.finding_sites:
                yield Finding(path, f"{group.tracking_identifier}: nothing measured, no site")
            if not group.tracking_uid or group.finding_type is None:
                yield Finding(path, "a group without tracking UID or finding")


def ohif(paths: Sequence[Path]) -> Iterator[Finding]:
    """What OHIF's SR reader needs so that it neither throws nor leaves a group out.

    The union of what several versions of OHIF 3 take for granted
    (``getSopClassHandlerModule`` of ``cornerstone-dicom-sr``).
    """
    for path in paths:
        report = dcmread(path)
        if report.Modality == "SR":
            for complaint in ohif_complaints(report):
                yield Finding(path, complaint)


def ohif_complaints(report: Dataset) -> Iterator[str]:
    """What would be thrown, dropped or shown wrongly."""
    if name(report) != "126000":
        yield "not an Imaging Measurement Report: not read at all"
    children = {name(item): item for item in report.ContentSequence}
    if "111028" not in children or "126010" not in children:
        yield "throws: no Image Library or no Imaging Measurements at the root"
        return
    library = [name(item) for item in children["111028"].get("ContentSequence", ())]
    if "126200" not in library:
        yield "throws: no Image Library Group"
    seen = set()
    for group in _children(children["126010"], "125007"):
        tracking = _children(group, "112040")
        if not tracking or not _children(group, "112039"):
            yield "throws: a group without tracking identifier or UID"
            continue
        uid = str(tracking[0].UID)
        if uid in seen:
            yield "two groups are merged into one: the same tracking UID"
        seen.add(uid)
        yield from _drawn(group)
    referenced = {
        str(one.ReferencedSOPInstanceUID)
        for item in items(children["111028"])
        for one in item.get("ReferencedSOPSequence", ())
    }
    if not referenced:
        yield "the Image Library references no image"


def _children(tree: Dataset, code_value: str) -> list[Dataset]:
    return [item for item in tree.get("ContentSequence", ()) if name(item) == code_value]


def _drawn(group: Dataset) -> Iterator[str]:
    """The first region is drawn, labels are meaning, number and *code* of the unit."""
    regions = [item for item in group.ContentSequence if item.ValueType in POLYGONS]
    if not regions:
        yield "throws: a group without a region (its first coordinates are taken unseen)"
        return
    region = regions[0]
    if region.GraphicType not in (POLYGONS[region.ValueType], "CIRCLE"):
        yield f"not drawn: {region.GraphicType}"
    if region.ValueType == "SCOORD":
        source = region.get("ContentSequence", ())
        if len(source) != 1 or "ReferencedSOPSequence" not in source[0]:
            yield "throws: a region that is selected from no image"
    elif "ReferencedFrameOfReferenceUID" not in region:
        yield "not drawn: a region in space without frame of reference"
    uids = [item for item in group.ContentSequence if item.ValueType == "UIDREF"]
    if name(uids[0]) != "112040":
        yield "another UID is taken for the tracking UID: it comes first"
    for number in (item for item in group.ContentSequence if item.ValueType == "NUM"):
        unit = number.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
        if unit == "1":
            yield "a label that ends in the unit 1"
    if not named(group, "363698007"):
        yield "no finding site to show"
