"""OHIF as a validator: a result in its study, opened as a radiologist opens it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import requests
from playwright.sync_api import Browser
from pydicom import Dataset

from deploy.demo.chromium import SOFTWARE_GPU, open_chromium
from tests.support.ohif import MIN_CONTRAST, Label, Ohif, ShownReport
from tests.support.ohif_server import ohif_server
from tests.support.phantom_ct import ct_images
from tests.support.servers import Orthanc, missing, running_orthanc
from tests.validators.drawn import MAX_DISTANCE_MM, Outline, distance_mm, outlines
from tests.validators.run import build
from tests.validators.varied import VariedResult
from worker.pipeline.derived_header import to_bytes

# OHIF reads the metadata of whole series.
DICOMWEB = {
    "Enable": True,
    "Root": "/dicom-web/",
    "StudiesMetadata": "Full",
    "SeriesMetadata": "Full",
}
MIN_FONT_PX = 12.0
PICTURES = ("sc", "overlay")


@dataclass(frozen=True)
class ViewerSite:
    """A PACS, OHIF in front of it, and a browser. ``shots`` : folder for screenshots."""

    orthanc: Orthanc
    url: str
    browser: Browser
    shots: Path


@contextmanager
def viewer_site(folder: Path, shots: Path) -> Iterator[ViewerSite]:
    """Start what it takes to open results in OHIF."""
    shots.mkdir(parents=True, exist_ok=True)
    with (
        running_orthanc(folder, DicomWeb=DICOMWEB) as orthanc,
        ohif_server(orthanc) as url,
        open_chromium(missing, SOFTWARE_GPU) as browser,
    ):
        yield ViewerSite(orthanc, url, browser, shots)


def view(site: ViewerSite, result: VariedResult, name: str) -> Iterator[tuple[str, str]]:
    """Open a result; yield (what was looked at, what is wrong with it)."""
    objects = build(result)
    pictures = {role: objects[role] for role in PICTURES if role in objects}
    screening, sr = result.screening, objects["sr"]
    series = _store(site, [*ct_images(screening), *pictures.values(), sr])
    viewer = Ohif(site.browser, site.url, str(sr.StudyInstanceUID), series)
    try:
        expected = list(outlines(screening, sr, pictures.get("overlay")))
        if expected:
            shown = viewer.show_report()
            viewer.screenshot().save(site.shots / f"{name}-sr.png")
            yield from (("regions", text) for text in _regions(shown, expected))
            yield from (("labels", text) for text in _labels(shown, expected))
            if shown.prompts:
                yield "prompt", "OHIF offers to load the report as measurements of its own"
        yield from _pictures(site, viewer, pictures, name)
        yield from (("console", text) for text in viewer.errors)
    finally:
        viewer.close()


def _store(site: ViewerSite, objects: list[Dataset]) -> int:
    """Store the study alone; return the number of its series."""
    site.orthanc.clear()
    for ds in objects:
        url = f"{site.orthanc.url}/instances"
        requests.post(url, data=to_bytes(ds), timeout=60).raise_for_status()
    return len({str(ds.SeriesInstanceUID) for ds in objects})


def _regions(shown: ShownReport, expected: list[Outline]) -> Iterator[str]:
    """Yield groups that OHIF does not draw where the screening has them."""
    if shown.groups != len(expected) or shown.not_shown:
        yield f"{shown.groups} groups of {len(expected)}, {shown.not_shown} of them not shown"
    found = {region.tracking_uid: region for region in shown.regions}
    for outline in expected:
        region = found.get(outline.tracking_uid)
        if region is None:
            yield "a region is not drawn"
        elif outline.image_uid not in (region.image or ""):
            yield f"a region is on another image: {region.image}"
        elif not np.isfinite(region.points).all():
            yield "a region is nowhere: its image has no position in the viewer"
        elif (distance := distance_mm(region.points, outline)) > MAX_DISTANCE_MM:
            yield f"a region is {distance:.1f} mm from where it was drawn"


def _labels(shown: ShownReport, expected: list[Outline]) -> Iterator[str]:
    """Yield groups whose label is not legible in any step through the regions."""
    texts = {
        region.tracking_uid: tuple(f"{name}: {value}" for name, value in region.labels)
        for region in shown.regions
    }
    for outline in expected:
        lines = texts.get(outline.tracking_uid, ())
        steps = [(step, one) for step in shown.labels for one in step if one.lines == lines]
        if not lines or not steps:
            yield f"no label {lines}"
        elif not any(_legible(one, step, shown) for step, one in steps):
            yield f"a label that is cut off or covered: {lines[0]}"


def _legible(label: Label, step: tuple[Label, ...], shown: ShownReport) -> bool:
    left, top, right, bottom = label.box
    view = shown.viewport
    inside = left >= view[0] and top >= view[1] and right <= view[2] and bottom <= view[3]
    covered = any(one is not label and _overlap(one, label) for one in step)
    return label.size >= MIN_FONT_PX and inside and not covered


def _overlap(one: Label, other: Label) -> bool:
    """Return whether two text boxes share pixels."""
    return (
        one.box[0] < other.box[2]
        and other.box[0] < one.box[2]
        and one.box[1] < other.box[3]
        and other.box[1] < one.box[3]
    )


def _pictures(
    site: ViewerSite, viewer: Ohif, pictures: Mapping[str, Dataset], name: str
) -> Iterator[tuple[str, str]]:
    for role, picture in pictures.items():
        gray = viewer.show_picture(picture)
        viewer.screenshot().save(site.shots / f"{name}-{role}.png")
        if float(np.std(gray)) < MIN_CONTRAST:
            yield "pictures", f"the picture {role} is not shown"
