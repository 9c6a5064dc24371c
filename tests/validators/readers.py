"""Validators that are readers: highdicom, dcmqi, and the SR adapters of cornerstone."""

import json
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import highdicom
from pydicom import Dataset, dcmread

from tests.support.ohif_server import require_viewers
from tests.support.report_tree import groups, name, named, value
from tests.support.servers import ROOT, missing, require_tool
from tests.validators.finding import Finding

READ_REPORTS = ROOT / "tests/support/viewers/read_reports.mjs"
MIN_NODE = 20
TOOL_SECONDS = 600


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


def dcmqi_reader(paths: Sequence[Path]) -> Iterator[Finding]:
    """Check that ``tid1500reader`` of dcmqi returns every measurement with our value.

    It does not read numbers below a number.
    """
    program = Path(sysconfig.get_path("scripts")) / "tid1500reader"
    if not program.exists():
        missing("dcmqi is not installed (extra dev)")
    with tempfile.TemporaryDirectory() as folder:
        read = Path(folder) / "report.json"
        for path in paths:
            report = dcmread(path)
            if report.Modality != "SR" or not groups(report):
                continue
            done = subprocess.run(
                [program, "--inputDICOM", path, "--outputMetadata", read],
                capture_output=True,
                text=True,
                timeout=TOOL_SECONDS,
            )
            if done.returncode or not read.exists():
                yield Finding(path, f"not read: {(done.stderr or done.stdout)[-200:]}")
                continue
            yield from _differences(path, report, json.loads(read.read_text()))
            read.unlink()


def _differences(path: Path, report: Dataset, read: Mapping[str, Any]) -> Iterator[Finding]:
    found = {one["TrackingUniqueIdentifier"]: one for one in read.get("Measurements", ())}
    for group in groups(report):
        uid = str(named(group, "112040")[0].UID)
        expected = {name(item): _number(item) for item in _numbers(group)}
        got = {
            one["quantity"]["CodeValue"]: float(one["value"])
            for one in found.get(uid, {}).get("measurementItems", ())
        }
        if got != expected:
            yield Finding(path, f"values of a group: {got}, expected {expected}")
        site = found.get(uid, {}).get("FindingSite", {}).get("CodeValue")
        if site != value(named(group, "363698007")[0]):
            yield Finding(path, f"finding site of a group: {site}")


def _numbers(group: Dataset) -> list[Dataset]:
    return [item for item in group.ContentSequence if item.ValueType == "NUM"]


def _number(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


def read_with_cornerstone(
    planes: Mapping[Path, Mapping[str, Any]],
) -> dict[Path, dict[str, Any]]:
    """Return what the adapters read of each report: its groups, and its failures.

    ``planes`` : of each report, the image planes of the images that it refers to.
    """
    folder = require_viewers()
    node = require_tool("node", "nodejs")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout[1:].partition(".")[0]) < MIN_NODE:
        missing(f"Node.js {version.stdout.strip()} is too old: {MIN_NODE} or newer is needed")
    with tempfile.TemporaryDirectory() as temporary:
        reports = Path(temporary) / "reports.json"
        given = [{"path": str(path), "planes": one} for path, one in planes.items()]
        reports.write_text(json.dumps(given))
        done = subprocess.run(
            [node, READ_REPORTS, folder, reports],
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS,
        )
    if done.returncode:
        raise RuntimeError(f"the adapters of cornerstone failed: {done.stderr[-2000:]}")
    return {Path(one["path"]): one for one in json.loads(done.stdout)}
