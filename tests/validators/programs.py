"""Validators that are programs: dciodvfy (dicom3tools), dcmtk, PixelMed's DicomSRValidator."""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydicom import Dataset, dcmread

from tests.support.servers import missing, require_tool
from tests.validators.finding import Finding

PIXELMED = Path("/usr/share/java/pixelmed.jar")
VALIDATE_REPORTS = Path(__file__).with_name("ValidateReports.java")
SAXON = PIXELMED.with_name("Saxon-HE.jar")
SAXON_FACTORY = "-Djavax.xml.transform.TransformerFactory=net.sf.saxon.TransformerFactoryImpl"
DOCUMENTS = ("SR", "KO")
VALIDATED = "Root Template Validation Complete"
PROGRAM_SECONDS = 120
PIXELMED_SECONDS = 3600


def run_program(command: Sequence[str | Path], seconds: int = PROGRAM_SECONDS) -> str:
    """Return everything that a program prints."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, timeout=seconds, check=False
    )
    return (done.stdout + done.stderr).decode(errors="replace")


def dciodvfy(paths: Sequence[Path]) -> Iterator[Finding]:
    """Check every attribute against its IOD."""
    program = require_tool("dciodvfy", "dicom3tools")
    for path in paths:
        lines = run_program([program, "-new", path]).splitlines()
        if not lines:
            yield Finding(path, "dciodvfy printed nothing, not even the IOD")
        for line in lines:
            if line.startswith(("Error", "Warning")):
                yield Finding(path, line, line.startswith("Error"))


def dcmtk(paths: Sequence[Path]) -> Iterator[Finding]:
    """Re-encode by dcmconv; print reports by dsrdump and dsr2html; convert them to XML."""
    for path in paths:
        ds = dcmread(path)
        yield from _reencoded(path, ds)
        if ds.Modality not in DOCUMENTS:
            continue
        yield from _printed(path, ds)
        yield from _through_xml(path, ds)


def _tool(name: str) -> str:
    return require_tool(name, "dcmtk")


def _printed(path: Path, ds: Dataset) -> Iterator[Finding]:
    page = path.with_suffix(".html")
    output = run_program([_tool("dsr2html"), "+Cm", "+Ca", "utf-8", path, page])
    output += run_program([_tool("dsrdump"), path])
    yield from _dcmtk_findings(path, output)
    html = page.read_text("utf-8")
    of_header = (
        ("Impression:", str(ds.CompletionFlagDescription)) if ds.Modality == "SR" else ()
    )
    for text in ("Device Observer Name", *of_header):
        if text not in html:
            yield Finding(path, f"dsr2html does not print {text!r}")


def _through_xml(path: Path, ds: Dataset) -> Iterator[Finding]:
    """Compare the content tree before and after dsr2xml and xml2dsr.

    The header is not compared: dcmtk's XML has only the first component group of a name and
    requires a patient.
    """
    if not ds.PatientID and not ds.PatientName:
        ds.PatientID = "1"
        path = path.with_suffix(".patient")
        ds.save_as(path)
    xml, back = path.with_suffix(".xml"), path.with_suffix(".back")
    output = run_program([_tool("dsr2xml"), path, xml]) + run_program(
        [_tool("xml2dsr"), xml, back]
    )
    yield from _dcmtk_findings(path, output)
    before, after = (
        run_program([_tool("dsrdump"), "+Pl", "-Ph", "-q", one]) for one in (path, back)
    )
    if before != after or "<CONTAINER" not in before:
        yield Finding(path, "the content tree differs after dsr2xml and xml2dsr")


def _reencoded(path: Path, ds: Dataset) -> Iterator[Finding]:
    implicit, explicit = path.with_suffix(".implicit"), path.with_suffix(".explicit")
    output = run_program([_tool("dcmconv"), "+ti", path, implicit])
    output += run_program([_tool("dcmconv"), "+te", implicit, explicit])
    yield from _dcmtk_findings(path, output)
    # Values only: in implicit VR pixel data is OW, not OB (PS3.5 A.1).
    before, after = ({e.tag: e.value for e in one} for one in (ds, dcmread(explicit)))
    if before != after:
        yield Finding(path, "values differ after conversion to implicit and explicit VR")


def _dcmtk_findings(path: Path, output: str) -> Iterator[Finding]:
    for line in output.splitlines():
        if re.match(r"[EFW]: ", line):
            yield Finding(path, line, not line.startswith("W"))


def pixelmed(paths: Sequence[Path]) -> Iterator[Finding]:
    """Check the templates. IHE AIR accepts a result without errors; warnings are allowed."""
    for jar, package in ((PIXELMED, "pixelmed-apps"), (SAXON, "libsaxonhe-java")):
        if not jar.exists():
            missing(f"{jar.name} is not installed (Debian package {package})")
    reports = [path for path in paths if dcmread(path).Modality in DOCUMENTS]
    for path, lines in _validated(reports):
        if VALIDATED not in lines:
            yield Finding(path, "PixelMed did not validate the root template")
        for line in lines:
            if line.startswith(("Error", "Warning")):
                yield Finding(path, line, line.startswith("Error"))


def _validated(paths: Sequence[Path]) -> Iterable[tuple[Path, list[str]]]:
    """Validate all reports in one JVM, by Saxon: Java's own XSLT takes 4 s for each."""
    java = require_tool("java", "default-jdk-headless")
    require_tool("javac", "default-jdk-headless")
    # The run is short: the optimizing compiler would take longer than it saves.
    options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx768m", SAXON_FACTORY]
    jars = os.pathsep.join(map(os.fspath, (PIXELMED, SAXON)))
    output = run_program(
        [java, *options, "-cp", jars, VALIDATE_REPORTS, *paths], seconds=PIXELMED_SECONDS
    )
    parts = re.split(r"^== (.*)$", output, flags=re.MULTILINE)
    by_path = dict(zip(parts[1::2], parts[2::2], strict=True))
    for path in paths:
        yield path, by_path.get(str(path), "").splitlines()
