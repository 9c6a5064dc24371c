"""Judges that are programs: dciodvfy (dicom3tools), dcmtk, PixelMed's DicomSRValidator."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydicom import Dataset, dcmread

from tests.judge.finding import MINUTES, Finding, said
from tests.servers import missing, require_tool

PIXELMED = Path("/usr/share/java/pixelmed.jar")
VALIDATE_REPORTS = Path(__file__).with_name("ValidateReports.java")
# Java 17 limits XPath to less than PixelMed's compiled templates need.
XPATH_LIMITS = ("xpathExprGrpLimit", "xpathExprOpLimit", "xpathTotalOpLimit")
VALIDATED = "Root Template Validation Complete"


def dciodvfy(paths: Sequence[Path]) -> Iterator[Finding]:
    """Every attribute against its IOD."""
    program = require_tool("dciodvfy", "dicom3tools")
    for path in paths:
        lines = said([program, "-new", path]).splitlines()
        if not lines:
            yield Finding(path, "the judge said nothing, not even which IOD it saw")
        for line in lines:
            if line.startswith(("Error", "Warning")):
                yield Finding(path, line, line.startswith("Error"))


def dcmtk(paths: Sequence[Path]) -> Iterator[Finding]:
    """dsrdump and dsr2html print, dsr2xml → xml2dsr and implicit → explicit VR re-encode."""
    for path in paths:
        ds = dcmread(path)
        yield from _reencoded(path, ds)
        if ds.Modality != "SR":
            continue
        yield from _printed(path, ds)
        yield from _through_xml(path, ds)


def _tool(name: str) -> str:
    return require_tool(name, "dcmtk")


def _printed(path: Path, ds: Dataset) -> Iterator[Finding]:
    page = path.with_suffix(".html")
    output = said([_tool("dsr2html"), "+Cm", "+Ca", "utf-8", path, page])
    output += said([_tool("dsrdump"), path])
    yield from _complaints(path, output)
    html = page.read_text("utf-8")
    for wanted in ("Patient: ", "Device Observer Name", str(ds.CompletionFlagDescription)):
        if wanted not in html:
            yield Finding(path, f"dsr2html does not print {wanted!r}")


def _through_xml(path: Path, ds: Dataset) -> Iterator[Finding]:
    """The content tree, encoded anew from XML.

    Not the header: dcmtk's XML has the first group of a name only, and no empty patient.
    """
    if not ds.PatientID and not ds.PatientName:
        ds.PatientID = "1"
        path = path.with_suffix(".patient")
        ds.save_as(path)
    xml, back = path.with_suffix(".xml"), path.with_suffix(".back")
    output = said([_tool("dsr2xml"), path, xml]) + said([_tool("xml2dsr"), xml, back])
    yield from _complaints(path, output)
    before, after = (said([_tool("dsrdump"), "+Pl", "-Ph", "-q", one]) for one in (path, back))
    if before != after or "<CONTAINER" not in before:
        yield Finding(path, "another content tree after dsr2xml and xml2dsr")


def _reencoded(path: Path, ds: Dataset) -> Iterator[Finding]:
    implicit, explicit = path.with_suffix(".implicit"), path.with_suffix(".explicit")
    output = said([_tool("dcmconv"), "+ti", path, implicit])
    output += said([_tool("dcmconv"), "+te", implicit, explicit])
    yield from _complaints(path, output)
    # Values, not VRs: implicit VR has no OB for the pixels (PS3.5 A.1).
    before, after = ({e.tag: e.value for e in one} for one in (ds, dcmread(explicit)))
    if before != after:
        yield Finding(path, "other values after implicit and explicit VR")


def _complaints(path: Path, output: str) -> Iterator[Finding]:
    for line in output.splitlines():
        if re.match(r"[EFW]: ", line):
            yield Finding(path, line, not line.startswith("W"))


def pixelmed(paths: Sequence[Path]) -> Iterator[Finding]:
    """The templates; without an error here IHE accepts an AI result (warnings are allowed)."""
    if not PIXELMED.exists():
        missing("PixelMed is not installed (Debian package pixelmed-apps)")
    reports = [path for path in paths if dcmread(path).Modality == "SR"]
    for path, lines in _validated(reports):
        if VALIDATED not in lines:
            yield Finding(path, "the root template was not validated")
        for line in lines:
            if line.startswith(("Error", "Warning")):
                yield Finding(path, line, line.startswith("Error"))


def _validated(paths: Sequence[Path]) -> Iterable[tuple[Path, list[str]]]:
    """One JVM for all where there is a compiler, else one a file: ten seconds each."""
    java = require_tool("java", "default-jdk-headless")
    # Short work: the optimizing compiler would cost more than it gives.
    options = [java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx768m"]
    options += [*(f"-Djdk.xml.{limit}=0" for limit in XPATH_LIMITS)]
    if shutil.which("javac") is None:
        validator = "com.pixelmed.validate.DicomSRValidator"
        for path in paths:
            yield path, said([*options, "-cp", PIXELMED, validator, path]).splitlines()
        return
    command = [*options, "-cp", os.fspath(PIXELMED), VALIDATE_REPORTS, *paths]
    output = said(command, seconds=60 * MINUTES)
    parts = re.split(r"^== (.*)$", output, flags=re.MULTILINE)
    by_path = dict(zip(parts[1::2], parts[2::2], strict=True))
    for path in paths:
        yield path, by_path.get(str(path), "").splitlines()
