"""Test certificates, created by the ``openssl`` program."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import require_tool

DAYS = "2"
# ``openssl x509`` of OpenSSL 3.5 issues no certificate that has expired; ``openssl ca`` does.
Dates = tuple[str, ...]
VALID: Dates = ("-days", DAYS)
EXPIRED: Dates = ("-startdate", "20260101000000Z", "-enddate", "20260102000000Z")
CONFIG = """[ca]
default_ca = issuer
[issuer]
database = {issued}
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = names
unique_subject = no
[names]
commonName = supplied
"""
NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM files of a party."""

    cert: Path
    key: Path


class Authority:
    """A certification authority of its own, with its files in ``folder``.

    ``key_usage`` : whether its certificate has the key usage extension (RFC 5280 4.2.1.3),
    which many authorities of hospitals lack and Python 3.13 requires by default; ``parent`` :
    who signs it, None for a root.
    """

    def __init__(
        self, folder: Path, *, key_usage: bool = True, parent: "Authority | None" = None
    ) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.ca = folder / "ca.pem"
        self._key = folder / "ca.key"
        usage = ["keyUsage=critical,keyCertSign,cRLSign"] if key_usage else []
        if parent is not None:
            parent._certify(
                self.ca, self._key, "issuing CA", ["basicConstraints=critical,CA:TRUE", *usage]
            )
            return
        # fmt: off
        self._openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", DAYS,
            "-subj", "/CN=test CA", "-keyout", str(self._key), "-out", str(self.ca),
            *(part for line in usage for part in ("-addext", line)),
        )
        # fmt: on

    def issue(self, name: str, *, dates: Dates = VALID, names: str = NAMES) -> Identity:
        """A certificate for this machine's loopback address."""
        identity = Identity(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        self._certify(identity.cert, identity.key, name, [names], dates)
        return identity

    def _certify(
        self, cert: Path, key: Path, name: str, extensions: list[str], dates: Dates = VALID
    ) -> None:
        request, lines = cert.with_suffix(".csr"), cert.with_suffix(".txt")
        lines.write_text("\n".join(extensions))
        config, issued = self._folder / "ca.cnf", self._folder / "issued.txt"
        config.write_text(CONFIG.format(folder=self._folder, issued=issued))
        issued.touch()
        # fmt: off
        self._openssl(
            "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", str(key), "-out", str(request),
        )
        self._openssl(
            "ca", "-batch", "-notext", "-config", str(config), *dates,
            "-in", str(request), "-cert", str(self.ca), "-keyfile", str(self._key),
            "-extfile", str(lines), "-out", str(cert),
        )
        # fmt: on

    @staticmethod
    def _openssl(*arguments: str) -> None:
        subprocess.run(
            [require_tool("openssl", "openssl"), *arguments], check=True, capture_output=True
        )
