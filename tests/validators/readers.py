"""Validators that are readers: highdicom's parser, and the requirements of OHIF's SR reader."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import highdicom
from pydicom import Dataset, dcmread

from tests.support.report_rules import groups, items, name, named
from tests.validators.finding import Finding

POLYGONS = {"SCOORD": "POLYLINE", "SCOORD3D": "POLYGON"}


def highdicom_srread(paths: Sequence[Path]) -> Iterator[Finding]:
    """Check that highdicom reads every group with its region, finding and measurements."""
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
                yield Finding(path, f"{group.tracking_identifier}: no measurement or no site")
            if not group.tracking_uid or group.finding_type is None:
                yield Finding(path, "a group without tracking UID or finding")


def ohif_reader(paths: Sequence[Path]) -> Iterator[Finding]:
    """Check the requirements of OHIF's SR reader.

    If one is not met, the reader throws or omits a group. They are the union of the assumptions
    of several versions of OHIF 3 (``getSopClassHandlerModule`` of ``cornerstone-dicom-sr``);
    OHIF itself does not run.
    """
    for path in paths:
        report = dcmread(path)
        if report.Modality == "SR":
            for violation in ohif_violations(report):
                yield Finding(path, violation)


def ohif_violations(report: Dataset) -> Iterator[str]:
    """Yield what OHIF would throw on, omit or display wrongly."""
    if name(report) != "126000":
        yield "not an Imaging Measurement Report: not read"
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
            yield "two groups with the same tracking UID are merged"
        seen.add(uid)
        yield from _group_violations(group)
    referenced = {
        str(one.ReferencedSOPInstanceUID)
        for item in items(children["111028"])
        for one in item.get("ReferencedSOPSequence", ())
    }
    if not referenced:
        yield "the Image Library references no image"


def _children(tree: Dataset, code_value: str) -> list[Dataset]:
    return [item for item in tree.get("ContentSequence", ()) if name(item) == code_value]


def _group_violations(group: Dataset) -> Iterator[str]:
    """Yield violations of one group.

    OHIF draws the first region; a label is the meaning, the number and the *code* of the unit.
    """
    regions = [item for item in group.ContentSequence if item.ValueType in POLYGONS]
    if not regions:
        yield "throws: a group without a region"
        return
    region = regions[0]
    if region.GraphicType not in (POLYGONS[region.ValueType], "CIRCLE"):
        yield f"not drawn: {region.GraphicType}"
    if region.ValueType == "SCOORD":
        source = region.get("ContentSequence", ())
        if len(source) != 1 or "ReferencedSOPSequence" not in source[0]:
            yield "throws: a region that is selected from no image"
    elif "ReferencedFrameOfReferenceUID" not in region:
        yield "not drawn: a 3D region without frame of reference"
    uids = [item for item in group.ContentSequence if item.ValueType == "UIDREF"]
    if name(uids[0]) != "112040":
        yield "another UID comes first and is used as the tracking UID"
    for number in (item for item in group.ContentSequence if item.ValueType == "NUM"):
        unit = number.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
        if unit == "1":
            yield "a label with the unit 1"
    if not named(group, "363698007"):
        yield "no finding site to display"
