"""``python -m tests.validators.viewer --out FOLDER``: screenshots of captures in a viewer.

Builds the first captures of the varied results, stores them in an Orthanc and takes a
screenshot of each in its web viewer (Debian package orthanc-webviewer) in Chromium at
1280 × 1024, a one-megapixel monitor. The screenshots are for visual inspection; nothing is
checked.
"""

import argparse
import sys
import tempfile
from itertools import count, islice
from pathlib import Path

import requests

from deploy.demo.chromium import open_chromium
from tests.support.servers import missing, orthanc_plugin, running_orthanc
from tests.validators.run import build
from tests.validators.varied import varied_result
from worker.pipeline.derived_header import to_bytes

VIEWER = "libOrthancWebViewer.so"
MONITOR = {"width": 1280, "height": 1024}
RENDER_MS = 3000


def main() -> int:
    """Write one PNG per capture, named by the number of its result."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.validators.viewer", description=__doc__
    )
    parser.add_argument("--count", type=int, default=21, help="number of captures")
    parser.add_argument("--out", type=Path, required=True, help="folder for the screenshots")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    dicomweb = orthanc_plugin("OrthancDicomWeb", "orthanc-dicomweb")
    plugins = [str(dicomweb), str(dicomweb.parent / VIEWER)]
    with (
        tempfile.TemporaryDirectory() as folder,
        running_orthanc(Path(folder), Plugins=plugins) as orthanc,
        open_chromium(missing) as chromium,
    ):
        results = ((number, build(varied_result(number))) for number in count())
        with_capture = ((number, objects) for number, objects in results if "sc" in objects)
        for number, objects in islice(with_capture, options.count):
            stored = requests.post(
                f"{orthanc.url}/instances", data=to_bytes(objects["sc"]), timeout=60
            )
            stored.raise_for_status()
            page = chromium.new_page(viewport=MONITOR)
            series = stored.json()["ParentSeries"]
            page.goto(f"{orthanc.url}/web-viewer/app/viewer.html?series={series}")
            page.wait_for_timeout(RENDER_MS)
            page.screenshot(path=options.out / f"{number:03d}.png")
            page.close()
            print(options.out / f"{number:03d}.png", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
