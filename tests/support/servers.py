"""Real partners of the tests: Orthanc, tools of dcmtk, and child processes.

Each server starts on a free loopback port and is stopped at the end. A missing tool skips the
test on a developer's machine and fails it in CI.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

from deploy.demo.embedded import free_port
from deploy.demo.processes import Process

ROOT = Path(__file__).resolve().parents[2]
SERVICE_PACKAGES = ROOT / "tests/support/service_packages"
WAIT_SECONDS = 60.0
PLUGIN_FOLDERS = ("/usr/share/orthanc/plugins", "/usr/lib/orthanc", "/usr/local/lib/orthanc")

# Avoids delays of 40 ms by delayed ACKs between two dcmtk programs on loopback.
DCMTK_ENVIRONMENT = {"TCP_NODELAY": "1"}

T = TypeVar("T")


def missing(message: str) -> NoReturn:
    """Skip the test on a developer's machine, fail it in CI."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(message)
    pytest.skip(message)


def require_tool(name: str, package: str) -> str:
    """Return the path of an installed program; skip or fail the test otherwise."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        missing(f"{name} is not installed (Debian package {package})")
    return path


def child_environment(settings: Mapping[str, object] | None = None) -> dict[str, str]:
    """Return the environment of a child process with these settings; any sender is allowed.

    ``settings`` has names without prefix (``{"DATABASE_URL": …}``); values other than strings
    and paths are encoded as JSON.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OSTEOSCREEN_")}
    environment |= {
        "PYTHONPATH": os.pathsep.join(
            filter(None, (str(SERVICE_PACKAGES), str(ROOT), os.environ.get("PYTHONPATH")))
        ),
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        # Most tests are about one series, and do not wait for the rest of its study.
        "OSTEOSCREEN_RESULT_PER": "series",
    }
    # A test of the list of senders sets this to false.
    for name, value in {"ALLOW_ANY_CALLING_AE": True, **(settings or {})}.items():
        text = str(value) if isinstance(value, str | Path) else json.dumps(value)
        environment[f"OSTEOSCREEN_{name}"] = text
    return environment


def wait_for(condition: Callable[[], T], what: str, seconds: float = WAIT_SECONDS) -> T:
    """Return the first truthy value; raise AssertionError naming ``what`` after a timeout."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} within {seconds:.0f} s; last value: {value!r}")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Return whether a process accepts connections on this loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until_listening(process: Process, port: int) -> None:
    """Wait until the process listens; raise AssertionError with its log if it ended."""

    def ready() -> bool:
        assert process.running, f"{process.command} ended:\n{process.log}"
        return listens(port)

    wait_for(ready, f"port {port} of {process.command}")


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc with its DICOMweb plug-in."""

    process: Process
    http_port: int
    dicom_port: int
    ae_title: str = "ORTHANC"

    @property
    def url(self) -> str:
        """Root of the REST API."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb_url(self) -> str:
        """Root of the DICOMweb services."""
        return f"{self.url}/dicom-web"

    def dimse_destination(self, name: str = "pacs") -> dict[str, object]:
        """Return an entry of DESTINATIONS for delivery by C-STORE."""
        address = {"ae_title": self.ae_title, "host": "127.0.0.1", "port": self.dicom_port}
        return {"name": name, "kind": "dimse", **address}

    def dicomweb_destination(self, name: str = "archive") -> dict[str, object]:
        """Return an entry of DESTINATIONS for delivery by STOW-RS."""
        return {"name": name, "kind": "dicomweb", "url": self.dicomweb_url}

    def request(self, path: str, body: object = None, method: str | None = None) -> bytes:
        """Send a REST request, with the body as JSON; return the response."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            return bytes(response.read())

    def get(self, path: str) -> Any:
        """Return the JSON response to a REST request."""
        return json.loads(self.request(path))

    def find(self, level: str, **keys: str) -> list[dict[str, Any]]:
        """Return the matches of ``/tools/find``: ``find("Instance", Modality="SR")``."""
        body = {"Level": level, "Query": keys, "Expand": True}
        found: list[dict[str, Any]] = json.loads(self.request("/tools/find", body))
        return found

    def file(self, instance: str) -> bytes:
        """Return the DICOM file of an instance (identifier of Orthanc)."""
        return self.request(f"/instances/{instance}/file")

    def clear(self) -> None:
        """Delete everything."""
        for patient in self.get("/patients"):
            self.request(f"/patients/{patient}", method="DELETE")


@contextmanager
def running_orthanc(folder: Path, **configuration: object) -> Iterator[Orthanc]:
    """Run an empty Orthanc that stores in ``folder``; ``configuration`` overrides options."""
    program = require_tool("Orthanc", "orthanc")
    plugin = orthanc_plugin("OrthancDicomWeb", "orthanc-dicomweb")
    http_port, dicom_port = free_port(), int(str(configuration.get("DicomPort", free_port())))
    options = {
        "Name": "osteoscreen tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": "ORTHANC",
        "DefaultEncoding": "Utf8",  # Latin1, the default, loses characters in STOW-RS responses
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowStore": True,
        "Plugins": [str(plugin)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        **configuration,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orthanc.json").write_text(json.dumps(options))
    process = Process(
        [program, str(folder / "orthanc.json")],
        environment=child_environment(),
        log_path=folder / "orthanc.log",
    )
    with process:
        wait_until_listening(process, http_port)
        wait_until_listening(process, dicom_port)
        yield Orthanc(process, http_port, dicom_port, str(options["DicomAet"]))


def orthanc_plugin(name: str, package: str) -> Path:
    """Return the path of a plug-in of Orthanc; skip or fail the test if it is not installed."""
    for folder in PLUGIN_FOLDERS:
        for path in sorted(Path(folder).glob(f"lib{name}.so*")):
            return path
    missing(f"Orthanc's plug-in {name} is not installed (Debian package {package})")


@contextmanager
def running_dcmtk_storescp(folder: Path, *options: str) -> Iterator[int]:
    """Run storescp of dcmtk that stores in ``folder``; yield its port."""
    program = require_tool("storescp", "dcmtk")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    process = Process(
        [program, *options, "--output-directory", str(folder), str(port)],
        environment=child_environment() | DCMTK_ENVIRONMENT,
        log_path=folder.with_suffix(".log"),
    )
    with process:
        wait_until_listening(process, port)
        yield port


def storescu(
    paths: Sequence[Path],
    port: int,
    *,
    called: str = "OSTEOSCREEN",
    calling: str = "MODALITY",
    options: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Send files or folders by storescu of dcmtk over one association."""
    program = require_tool("storescu", "dcmtk")
    titles = ("-aet", calling, "-aec", called)
    return subprocess.run(
        [program, *titles, *options, "+sd", "+r", "127.0.0.1", str(port), *map(str, paths)],
        env=child_environment() | DCMTK_ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
