"""TLS as PS3.15 B.12 asks (BCP 195: RFC 8996 and 9325), for the Storage SCP and for delivery.

TLS 1.3 or 1.2, with ephemeral elliptic-curve keys and authenticated encryption only, which is
what the older profiles B.10 (non-downgrading BCP 195) and B.11 (extended BCP 195) have in
common with it.
"""

import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# RFC 9325 4.2, for TLS 1.2; those of TLS 1.3 are all good (and not set by this).
CIPHERS = ":".join(
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
    )
)


@dataclass(frozen=True, slots=True)
class Tls:
    """Files (PEM): whom we trust, who we are. ``key`` : None where ``cert`` has it, too."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


SYSTEM = Tls()
"""No files of ours: the CAs of the system, and no certificate."""


class _Socket(ssl.SSLSocket):
    """Can be shut down in any state: pynetdicom closes only what it could shut down."""

    def shutdown(self, how: int) -> None:
        with suppress(OSError):
            super().shutdown(how)


def server_context(tls: Tls, *, client_certificate: bool) -> ssl.SSLContext:
    """For an acceptor; ``client_certificate`` : refuse whoever shows none that we trust.

    Raises OSError (ssl.SSLError is one) for files that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    _identify(context, tls)
    if client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(tls.ca)
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """For a requestor: the other's certificate must be of its host, by a CA that we trust.

    Without ``ca`` these are the CAs of the system. Raises OSError as above.
    """
    context = ssl.create_default_context(cafile=tls.ca)
    context.sslsocket_class = _Socket
    _restrict(context)
    if tls.cert is not None:
        _identify(context, tls)
    return context


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _identify(context: ssl.SSLContext, tls: Tls) -> None:
    if tls.cert is None:
        raise FileNotFoundError("no certificate")
    # Without a password OpenSSL would ask for one on the terminal, and wait.
    context.load_cert_chain(tls.cert, tls.key, password=lambda: b"")
