"""The bench of judges: build results, write their objects, let every judge look."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from pydicom import Dataset, dcmread

from tests.judge.finding import Finding, reason_of
from tests.judge.pacs import by_dimse, by_stow_rs
from tests.judge.programs import dciodvfy, dcmtk, pixelmed
from tests.judge.readers import ohif, srread
from tests.judge.tables import dicom_validator
from tests.judge.varied import Result
from tests.report_rules import complaints
from worker.pipeline import uids
from worker.pipeline.capture import build_capture
from worker.pipeline.header import to_bytes
from worker.pipeline.parametric_map import build_parametric_map
from worker.pipeline.report import build_report

AT = datetime(2026, 11, 23, 15, 30, 1, 123456, tzinfo=UTC)
Judge = Callable[[Sequence[Path]], Iterable[Finding]]

JUDGES: Mapping[str, Judge] = {
    "dciodvfy": dciodvfy,
    "dcmtk": dcmtk,
    "dicom-validator": dicom_validator,
    "highdicom": srread,
    "OHIF's walk": ohif,
    "Orthanc, C-STORE": by_dimse,
    "Orthanc, STOW-RS": by_stow_rs,
    "PixelMed": pixelmed,
}


@dataclass(frozen=True, slots=True)
class Row:
    """What one judge said of all objects."""

    judge: str
    objects: int
    errors: tuple[Finding, ...]
    new_warnings: tuple[Finding, ...]
    known_warnings: Counter[str]
    seconds: float


def build(result: Result) -> dict[str, Dataset]:
    """The objects of a result by role; equal results give equal bytes."""
    screening, previous = result.screening, result.previous
    pictures = {}
    if screening.grade is not None:
        pictures["sc"] = build_capture(screening, at=AT, previous=previous)
    if result.parametric_map and (numbers := build_parametric_map(screening, at=AT)):
        pictures["pm"] = numbers
    shown = list(pictures.values())
    return pictures | {
        "sr": build_report(screening, shown, at=AT, previous=previous),
        "comprehensive": build_report(
            screening, shown, at=AT, sop_class="comprehensive", previous=previous
        ),
    }


def write(results: Iterable[Result], folder: Path) -> list[Path]:
    """One file an object, named by number and role."""
    paths = []
    for number, result in enumerate(results):
        for role, ds in build(result).items():
            paths.append(folder / f"{number:03d}.{role}.dcm")
            paths[-1].write_bytes(to_bytes(ds))
    return paths


def judged(judge: str, paths: Sequence[Path]) -> Row:
    """Let one judge look at all files."""
    start = time.monotonic()
    findings = list(JUDGES[judge](paths))
    return _row(judge, len(paths), findings, time.monotonic() - start)


def by_our_rules(results: Sequence[Result], folder: Path) -> Row:
    """``tests.report_rules`` on the files: what no judge sees."""
    start, findings, count = time.monotonic(), [], 0
    for number, result in enumerate(results):
        files = {path.suffixes[0]: path for path in folder.glob(f"{number:03d}.*.dcm")}
        capture = dcmread(files[".sc"]) if ".sc" in files else None
        for role in (".sr", ".comprehensive"):
            count += 1
            for complaint in complaints(dcmread(files[role]), capture, result.screening):
                findings.append(Finding(files[role], complaint))
    return _row("our rules", count, findings, time.monotonic() - start)


def rebuilt(results: Sequence[Result], folder: Path) -> Row:
    """Every object built a second time has the same bytes."""
    start, findings, count = time.monotonic(), [], 0
    for number, result in enumerate(results):
        for role, ds in build(result).items():
            count += 1
            path = folder / f"{number:03d}.{role}.dcm"
            if path.read_bytes() != to_bytes(ds):
                findings.append(Finding(path, "other bytes when built again"))
    return _row("built again", count, findings, time.monotonic() - start)


def renamed(results: Sequence[Result], folder: Path) -> Row:
    """Another version of the encoder gives every object another UID, of its series too."""
    start, findings, count = time.monotonic(), [], 0
    with patch.object(uids, "ENCODER_VERSION", f"{uids.ENCODER_VERSION}+1"):
        for number, result in enumerate(results):
            for role, ds in build(result).items():
                count += 1
                path = folder / f"{number:03d}.{role}.dcm"
                old = dcmread(path, stop_before_pixels=True)
                if {old.SOPInstanceUID, old.SeriesInstanceUID} & {
                    ds.SOPInstanceUID,
                    ds.SeriesInstanceUID,
                }:
                    findings.append(Finding(path, "an old UID with a new encoder"))
    return _row("new encoder version", count, findings, time.monotonic() - start)


def _row(judge: str, objects: int, findings: Sequence[Finding], seconds: float) -> Row:
    warnings = [finding for finding in findings if not finding.is_error]
    reasons = [(finding, reason_of(judge, finding.text)) for finding in warnings]
    return Row(
        judge,
        objects,
        tuple(finding for finding in findings if finding.is_error),
        tuple(finding for finding, reason in reasons if reason is None),
        Counter(reason for _, reason in reasons if reason is not None),
        seconds,
    )
