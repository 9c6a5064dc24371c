"""Build results, write their objects and run every validator on the files."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from pydicom import Dataset, dcmread

from tests.support.report_cases import AT
from tests.support.report_rules import violations
from tests.validators.drawn import (
    MAX_DISTANCE_MM,
    Outline,
    distance_mm,
    image_planes,
    outlines,
)
from tests.validators.finding import Finding, known_reason
from tests.validators.pacs import orthanc_c_store, orthanc_stow_rs
from tests.validators.programs import dciodvfy, dcmtk, pixelmed
from tests.validators.readers import dcmqi_reader, highdicom_srread, read_with_cornerstone
from tests.validators.tables import dicom_validator
from tests.validators.varied import VariedResult
from worker.pipeline import uids
from worker.pipeline.capture.parametric_map import build_parametric_map
from worker.pipeline.capture.secondary_capture import build_captures
from worker.pipeline.derived_header import to_bytes
from worker.pipeline.patient_history import PatientHistory
from worker.pipeline.report.document import build_report

Validator = Callable[[Sequence[Path]], Iterable[Finding]]

VALIDATORS: Mapping[str, Validator] = {
    "dciodvfy": dciodvfy,
    "dcmtk": dcmtk,
    "dicom-validator": dicom_validator,
    "dcmqi": dcmqi_reader,
    "highdicom": highdicom_srread,
    "Orthanc, C-STORE": orthanc_c_store,
    "Orthanc, STOW-RS": orthanc_stow_rs,
    "PixelMed": pixelmed,
}


@dataclass(frozen=True, slots=True)
class Summary:
    """Findings of one validator on all objects."""

    validator: str
    objects: int
    errors: tuple[Finding, ...]
    unknown_warnings: tuple[Finding, ...]
    known_warnings: Counter[str]
    seconds: float


def build(result: VariedResult) -> dict[str, Dataset]:
    """Return the objects of a result by role; equal results give equal bytes."""
    screening, history = result.screening, PatientHistory(result.previous)
    pictures = build_captures(screening, at=AT, previous=history.previous)
    images = dict(zip(("sc", "overlay"), pictures, strict=False))
    if (
        screening.grade is not None
        and result.parametric_map
        and (heat_maps := build_parametric_map(screening, at=AT))
    ):
        images["pm"] = heat_maps
    referenced = list(images.values())
    return images | {
        "sr": build_report(screening, referenced, at=AT, history=history),
        "comprehensive": build_report(
            screening, referenced, at=AT, sop_class="comprehensive", history=history
        ),
    }


def write_objects(results: Iterable[VariedResult], folder: Path) -> list[Path]:
    """Write one file per object, named by the number of the result and the role."""
    paths = []
    for number, result in enumerate(results):
        for role, ds in build(result).items():
            paths.append(_path(folder, number, role))
            paths[-1].write_bytes(to_bytes(ds))
    return paths


def run_validator(validator: str, paths: Sequence[Path]) -> Summary:
    """Run one validator on all files."""
    start = time.monotonic()
    findings = list(VALIDATORS[validator](paths))
    return _summarize(validator, len(paths), findings, start)


def check_report_rules(results: Sequence[VariedResult], folder: Path) -> Summary:
    """Check the written reports by ``tests.support.report_rules``."""
    start, findings, count = time.monotonic(), [], 0
    for number, result in enumerate(results):
        role = "sc" if result.screening.grade is None else "overlay"
        capture = dcmread(_path(folder, number, role))
        for role in ("sr", "comprehensive"):
            count += 1
            path = _path(folder, number, role)
            for violation in violations(dcmread(path), capture, result.screening):
                findings.append(Finding(path, violation))
    return _summarize("report rules", count, findings, start)


def check_cornerstone(results: Sequence[VariedResult], folder: Path) -> Summary:
    """Check that cornerstone's adapters return every outline where it was drawn."""
    start, planes, expected = time.monotonic(), {}, {}
    for number, result in enumerate(results):
        overlay_path = _path(folder, number, "overlay")
        overlay = dcmread(overlay_path) if overlay_path.exists() else None
        for role in ("sr", "comprehensive"):
            path = _path(folder, number, role)
            planes[path] = image_planes(result.screening, overlay)
            expected[path] = list(outlines(result.screening, dcmread(path), overlay))
    findings = [
        Finding(path, text)
        for path, read in read_with_cornerstone(planes).items()
        for text in _misread(read, expected[path])
    ]
    return _summarize("cornerstone", len(planes), findings, start)


def _misread(read: Mapping[str, Any], expected: Sequence[Outline]) -> Iterator[str]:
    yield from read["failures"]
    if read["editable"]:
        yield f"{read['editable']} groups would be loaded as measurements of the viewer"
    found = {group["tracking_uid"]: group for group in read["groups"]}
    for outline in expected:
        group = found.get(outline.tracking_uid)
        if group is None:
            yield "a group is missing"
        elif outline.image_uid not in group["image"]:
            yield f"an outline on another image: {group['image']}"
        elif (distance := distance_mm(np.array(group["points"]), outline)) > MAX_DISTANCE_MM:
            yield f"an outline is {distance:.1f} mm from where it was drawn"


def check_rebuild(results: Sequence[VariedResult], folder: Path) -> Summary:
    """Check that every object has the same bytes when it is built a second time."""
    start, findings, count = time.monotonic(), [], 0
    for number, result in enumerate(results):
        for role, ds in build(result).items():
            count += 1
            path = _path(folder, number, role)
            if path.read_bytes() != to_bytes(ds):
                findings.append(Finding(path, "different bytes when built a second time"))
    return _summarize("rebuilt", count, findings, start)


def check_encoder_version(results: Sequence[VariedResult], folder: Path) -> Summary:
    """Check that another version of the encoder gives every object and series a new UID."""
    start, findings, count = time.monotonic(), [], 0
    with patch.object(uids, "ENCODER_VERSION", f"{uids.ENCODER_VERSION}+1"):
        for number, result in enumerate(results):
            for role, ds in build(result).items():
                count += 1
                path = _path(folder, number, role)
                if _uids(ds) & _uids(dcmread(path, stop_before_pixels=True)):
                    findings.append(Finding(path, "an old UID with a new encoder version"))
    return _summarize("new encoder version", count, findings, start)


def _path(folder: Path, number: int, role: str) -> Path:
    return folder / f"{number:03d}.{role}.dcm"


def _uids(ds: Dataset) -> set[str]:
    return {str(ds.SOPInstanceUID), str(ds.SeriesInstanceUID)}


def _summarize(
    validator: str, objects: int, findings: Sequence[Finding], start: float
) -> Summary:
    warnings = [finding for finding in findings if not finding.is_error]
    reasons = [(finding, known_reason(validator, finding.text)) for finding in warnings]
    return Summary(
        validator,
        objects,
        tuple(finding for finding in findings if finding.is_error),
        tuple(finding for finding, reason in reasons if reason is None),
        Counter(reason for _, reason in reasons if reason is not None),
        time.monotonic() - start,
    )
