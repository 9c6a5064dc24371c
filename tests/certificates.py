"""Certificates that a test makes for itself, by the ``openssl`` program."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers import require_tool

DAYS = "2"
NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM files of one party."""

    cert: Path
    key: Path


class Authority:
    """A certification authority of its own, with its files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.ca = folder / "ca.pem"
        self._key = folder / "ca.key"
        # fmt: off
        self._openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", DAYS,
            "-subj", "/CN=test CA", "-keyout", str(self._key), "-out", str(self.ca),
        )
        # fmt: on

    def issue(self, name: str) -> Identity:
        """A certificate for this machine's loopback address."""
        key, cert = self._folder / f"{name}.key", self._folder / f"{name}.pem"
        request, names = self._folder / f"{name}.csr", self._folder / f"{name}.txt"
        names.write_text(NAMES)
        # fmt: off
        self._openssl(
            "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", str(key), "-out", str(request),
        )
        self._openssl(
            "x509", "-req", "-days", DAYS, "-in", str(request), "-CA", str(self.ca),
            "-CAkey", str(self._key), "-CAcreateserial", "-extfile", str(names),
            "-out", str(cert),
        )
        # fmt: on
        return Identity(cert, key)

    @staticmethod
    def _openssl(*arguments: str) -> None:
        subprocess.run(
            [require_tool("openssl", "openssl"), *arguments], check=True, capture_output=True
        )
