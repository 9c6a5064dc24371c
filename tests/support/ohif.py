"""OHIF in Chromium: open a study, read what it draws of a report, show a picture."""

import contextlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, TimeoutError
from pydicom import Dataset

# Wide as a reporting monitor: at 1280 px OHIF cuts the labels off at the edge of the viewport.
MONITOR = {"width": 1920, "height": 1080}
LABELS_MS = 30_000
WAIT_MS = 120_000  # a shared machine renders WebGL on its processor
# A picture that is on the screen has at least this standard deviation of its gray values.
MIN_CONTRAST = 10.0
MAX_LOOKS, LOOK_MS = 40, 250
VIEWPORT = '[data-cy="viewport-pane"]'
THUMBNAIL = '[data-cy^="study-browser-thumbnail"]'
NEXT = '[data-cy="viewport-action-arrows-right"], [data-cy="ohif-navigate-next"]'

DISPLAY_SETS = "services.displaySetService.getActiveDisplaySets()"
# The report is parsed, and each region that its image can show is an annotation.
LOADED = f"{DISPLAY_SETS}.some(d => d.Modality === 'SR' && d.isLoaded)"
REPORT = f"""() => {{
  const report = {DISPLAY_SETS}.find(d => d.Modality === 'SR');
  const drawn = cornerstoneTools.annotation.state.getAllAnnotations()
    .filter(a => a.metadata.toolName === 'DICOMSRDisplay')
    .map(a => ({{
      image: a.metadata.referencedImageId ?? null,
      tracking_uid: a.data.TrackingUniqueIdentifier,
      points: Object.values(a.data.renderableData).flat(2),
      labels: a.data.labels.map(l => [l.label, l.value]),
    }}));
  return {{
    rehydratable: !!report.isRehydratable,
    groups: report.measurements.length,
    not_shown: report.measurements.filter(m => !m.loaded).length,
    drawn,
  }};
}}"""
LABELS = """() => [...document.querySelectorAll('svg.svg-layer text')].map(t => {
  const box = t.getBoundingClientRect();
  const lines = [...t.querySelectorAll('tspan')].map(l => l.textContent);
  const size = parseFloat(getComputedStyle(t).fontSize);
  return {lines, size, box: [box.left, box.top, box.right, box.bottom]};
})"""
# Every region of the image that is shown has its label. OHIF may learn which regions the report
# has after it drew the image, and then draws none until the reader changes window or size: so
# the image is drawn again first.
LABELED = """() => {
  cornerstone.getRenderingEngines()[0].render();
  const shown = cornerstone.getRenderingEngines()[0].getViewports()
    .map(v => v.getCurrentImageId?.());
  const regions = cornerstoneTools.annotation.state.getAllAnnotations()
    .filter(a => a.metadata.toolName === 'DICOMSRDisplay')
    .filter(a => shown.includes(a.metadata.referencedImageId));
  const labels = document.querySelectorAll('svg.svg-layer text').length;
  return regions.length > 0 && labels === regions.length;
}"""
CURRENT_IMAGE = """() => cornerstone.getRenderingEngines()[0].getViewports()
  .map(v => v.getCurrentImageId?.() ?? '').join(' ')"""


@dataclass(frozen=True)
class DrawnRegion:
    """A region that OHIF draws.

    ``points`` : (n, 3) in the patient (LPS, mm), or on an image without position in mm from
    its first pixel. ``image`` : its address, None for a region in space.
    """

    tracking_uid: str
    image: str | None
    points: npt.NDArray[np.float64]
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Label:
    """A text box: its lines, size of its font in px, left, top, right and bottom in px."""

    lines: tuple[str, ...]
    size: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class ShownReport:
    """A report in OHIF. ``labels`` : of each step through the regions."""

    groups: int
    not_shown: int
    prompts: bool
    regions: tuple[DrawnRegion, ...]
    labels: tuple[tuple[Label, ...], ...]
    viewport: tuple[float, float, float, float]


class Ohif:
    """A study that is open in a page of its own."""

    def __init__(self, browser: Browser, url: str, study_uid: str, display_sets: int) -> None:
        """Open the study; wait until ``display_sets`` thumbnails can be clicked."""
        self.errors: list[str] = []
        self.page: Page = browser.new_page(viewport=MONITOR)  # type: ignore[arg-type]
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._note_console)
        # OHIF begins this tour at a first visit, later than the thumbnails; it covers them.
        shown = """localStorage.setItem('shownTours', '["basicViewerTour"]')"""
        self.page.add_init_script(shown)
        self.page.goto(f"{url}/viewer?StudyInstanceUIDs={study_uid}")
        self.page.wait_for_function(
            f"window.services && {DISPLAY_SETS}.length >= {display_sets}"
        )
        self.page.locator('[data-cy^="study-browser-thumbnail"]').nth(
            display_sets - 1
        ).wait_for()

    def show_report(self) -> ShownReport:
        """Open the report, step through its regions, return what is drawn."""
        self.page.locator('[data-cy="study-browser-thumbnail-no-image"]').first.dblclick()
        self.page.wait_for_function(LOADED)
        self.page.wait_for_function(f"({CURRENT_IMAGE})() !== ''")
        found: dict[str, Any] = self.page.evaluate(REPORT)
        steps = []
        for _ in range(max(1, found["groups"])):
            self._settle()
            self._wait_for_labels()
            steps.append(self._labels())
            if self.page.locator(NEXT).count():
                self.page.locator(NEXT).first.click()
        self._settle()
        self._wait_for_labels()
        found = self.page.evaluate(REPORT)
        box = self.page.locator(VIEWPORT).first.bounding_box()
        assert box is not None
        edges = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
        asked = self.page.get_by_text("Do you want to", exact=False).count() > 0
        return ShownReport(
            groups=found["groups"],
            not_shown=found["not_shown"],
            prompts=asked or found["rehydratable"],
            regions=tuple(
                DrawnRegion(
                    one["tracking_uid"],
                    one["image"],
                    np.array(one["points"], float),
                    tuple((name, value) for name, value in one["labels"]),
                )
                for one in found["drawn"]
            ),
            labels=tuple(steps),
            viewport=edges,
        )

    def show_picture(self, picture: Dataset) -> npt.NDArray[np.uint8]:
        """Open the series of a picture at that picture; return the viewport in gray."""
        number = int(picture.InstanceNumber)
        description = str(picture.SeriesDescription)
        thumbnail = self.page.locator('[data-cy="study-browser-thumbnail"]')
        thumbnail.filter(has_text=description).first.dblclick()
        uid = str(picture.SOPInstanceUID)
        for _ in range(number - 1):
            self._settle()
            self.page.locator(VIEWPORT).first.click()
            self.page.keyboard.press("ArrowDown")
        self.page.wait_for_function(f"({CURRENT_IMAGE})().includes('/instances/{uid}/')")
        for _ in range(MAX_LOOKS):
            self._settle()
            shot = self.page.locator(VIEWPORT).first.screenshot()
            gray = np.asarray(Image.open(BytesIO(shot)).convert("L"))
            if float(gray.std()) >= MIN_CONTRAST:
                break
            self.page.wait_for_timeout(LOOK_MS)
        return gray

    def screenshot(self) -> Image.Image:
        """Return the page."""
        return Image.open(BytesIO(self.page.screenshot())).convert("RGB")

    def close(self) -> None:
        """Close the page."""
        self.page.close()

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _labels(self) -> tuple[Label, ...]:
        return tuple(
            Label(tuple(one["lines"]), one["size"], tuple(one["box"]))
            for one in self.page.evaluate(LABELS)
        )

    def _wait_for_labels(self) -> None:
        """Wait until the labels are drawn; what never appears is missing in ``_labels``."""
        with contextlib.suppress(TimeoutError):
            self.page.wait_for_function(LABELED, timeout=LABELS_MS, polling=LOOK_MS)

    def _settle(self) -> None:
        """Wait until OHIF has rendered what it was asked for: two frames after the network."""
        self.page.wait_for_load_state("networkidle")
        frames = "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
        self.page.evaluate(frames)
