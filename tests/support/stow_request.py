"""STOW-RS requests to a server of a test."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import requests
from pydicom import Dataset

from tests.support.ct_factory import write_files
from tests.support.storage_scp import StorageScpFixture

FILE_TYPE = 'multipart/related; type="application/dicom"; boundary=b'
TOKEN = "open-sesame"  # noqa: S105


def body_of(files: Iterable[bytes]) -> bytes:
    """Return a multipart body of DICOM files with the boundary of ``FILE_TYPE``."""
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + one + b"\r\n" for one in files) + b"--b--\r\n"


def files(instances: list[Dataset], folder: Path) -> list[bytes]:
    """Return the instances as DICOM files, which are also written into the folder."""
    return [path.read_bytes() for path in write_files(instances, folder)]


def url(scp: StorageScpFixture, path: str = "/studies", scheme: str = "http") -> str:
    """Return a URL of the server."""
    return f"{scheme}://127.0.0.1:{scp.settings.stow_port}{path}"


def post(
    scp: StorageScpFixture, body: Any, path: str = "/studies", **headers: str
) -> requests.Response:
    """Send a body with ``TOKEN`` and ``FILE_TYPE``, or with these other headers."""
    sent = {"Content-Type": FILE_TYPE, "Authorization": f"Bearer {TOKEN}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return requests.post(url(scp, path), data=body, headers=sent, timeout=30)
