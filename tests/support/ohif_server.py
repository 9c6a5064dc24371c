"""A web server for OHIF out of ``build/viewers``, with DICOMweb of an Orthanc on its origin."""

import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from tests.support.servers import ROOT, Orthanc, missing

VIEWERS = ROOT / "build/viewers"
OHIF = VIEWERS / "node_modules/@ohif/app/dist"
COPIED_HEADERS = ("Content-Type", "Content-Location")


def require_viewers() -> Path:
    """Return the folder of the installed viewers; skip or fail the test otherwise."""
    if not (VIEWERS / "installed.json").exists():
        missing("the viewers are not installed (deploy/install-test-tools.sh, needs npm)")
    return VIEWERS


@contextmanager
def ohif_server(orthanc: Orthanc) -> Iterator[str]:
    """Serve OHIF on a free loopback port; yield its URL."""
    require_viewers()
    handler = partial(_OhifHandler, orthanc.url, directory=str(OHIF))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def app_config(root: str) -> str:
    """Return the ``app-config.js`` of OHIF: one data source, whose root is ``root``."""
    roots = dict.fromkeys(("qidoRoot", "wadoRoot", "wadoUriRoot"), root)
    source = {
        "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
        "sourceName": "orthanc",
        "configuration": {
            "friendlyName": "Orthanc",
            "name": "orthanc",
            "imageRendering": "wadors",
            "thumbnailRendering": "wadors",
            "supportsWildcard": True,
            "enableStudyLazyLoad": True,
            **roots,
        },
    }
    config = {
        "routerBasename": None,
        "extensions": [],
        "modes": [],
        "showStudyList": True,
        "maxNumberOfWebWorkers": 1,
        "investigationalUseDialog": {"option": "never"},
        "disableConfirmationPrompts": False,
        "defaultDataSourceName": "orthanc",
        "dataSources": [source],
    }
    return f"window.config = {json.dumps(config)};"


class _OhifHandler(SimpleHTTPRequestHandler):
    """Files of OHIF, and the requests below ``/dicom-web`` from Orthanc."""

    protocol_version = "HTTP/1.1"

    def __init__(self, orthanc_url: str, *args: object, directory: str) -> None:
        self._orthanc_url = orthanc_url
        super().__init__(*args, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer one request."""
        path = self.path.partition("?")[0]
        if path.startswith("/dicom-web/"):
            self._forward()
        elif path == "/app-config.js":
            root = f"http://{self.headers['Host']}/dicom-web"
            self._answer(200, {"Content-Type": "text/javascript"}, app_config(root).encode())
        else:
            if not (OHIF / path.lstrip("/")).is_file():
                self.path = "/index.html"  # the routes of a single-page application
            super().do_GET()

    def end_headers(self) -> None:
        """Isolate the origin, which OHIF needs for its shared memory."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()

    def log_message(self, *args: object) -> None:
        """Write nothing."""

    def _forward(self) -> None:
        accept = {"Accept": self.headers.get("Accept", "*/*"), "Host": self.headers["Host"]}
        answer = requests.get(self._orthanc_url + self.path, headers=accept, timeout=60)
        headers = {
            name: answer.headers[name] for name in COPIED_HEADERS if name in answer.headers
        }
        self._answer(answer.status_code, headers, answer.content)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the page was closed meanwhile
            self.wfile.write(body)
