"""``python -m tests.judge.viewer --out FOLDER``: the pictures as a radiologist sees them.

Builds the first captures of the varied results, stores them in an Orthanc and takes a
screenshot of each in its web viewer (Debian package orthanc-webviewer) in Chromium at
1280 × 1024, a one-megapixel monitor. Somebody must look at them.
"""

import argparse
import sys
import tempfile
from itertools import count, islice
from pathlib import Path

import requests

from deploy.chromium import open_chromium
from tests.judge.bench import build
from tests.judge.varied import varied
from tests.servers import dicomweb_plugin, missing, running_orthanc
from worker.pipeline.header import to_bytes

VIEWER = "libOrthancWebViewer.so"
MONITOR = {"width": 1280, "height": 1024}
DRAWN_MS = 3000


def main() -> int:
    """Write one PNG a picture, named by the number of its result."""
    parser = argparse.ArgumentParser(prog="python -m tests.judge.viewer", description=__doc__)
    parser.add_argument("--count", type=int, default=21, help="how many pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder for the screenshots")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    plugins = [str(dicomweb_plugin()), str(dicomweb_plugin().parent / VIEWER)]
    with (
        tempfile.TemporaryDirectory() as folder,
        running_orthanc(Path(folder), Plugins=plugins) as orthanc,
        open_chromium(missing) as chromium,
    ):
        results = ((number, build(varied(number))) for number in count())
        pictured = ((number, objects) for number, objects in results if "sc" in objects)
        for number, objects in islice(pictured, options.count):
            stored = requests.post(
                f"{orthanc.url}/instances", data=to_bytes(objects["sc"]), timeout=60
            )
            stored.raise_for_status()
            page = chromium.new_page(viewport=MONITOR)
            series = stored.json()["ParentSeries"]
            page.goto(f"{orthanc.url}/web-viewer/app/viewer.html?series={series}")
            page.wait_for_timeout(DRAWN_MS)
            page.screenshot(path=options.out / f"{number:03d}.png")
            page.close()
            print(options.out / f"{number:03d}.png", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
