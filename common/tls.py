"""TLS according to PS3.15 B.12 (BCP 195: RFC 8996 and 9325), for the Storage SCP and delivery.

TLS 1.3 or 1.2 with ephemeral elliptic-curve keys and authenticated encryption only. This is
what the older profiles B.10 (non-downgrading BCP 195) and B.11 (extended BCP 195) have in
common with B.12.
"""

import errno
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# RFC 9325 4.2, for TLS 1.2. All suites of TLS 1.3 are acceptable; set_ciphers leaves them.
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
    """PEM files: trusted CAs, own certificate and its key (None if ``cert`` contains it)."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


SYSTEM = Tls()
"""The CAs of the system, no certificate."""


class _Socket(ssl.SSLSocket):
    """Socket that can be shut down in any state; pynetdicom closes it only after that."""

    def shutdown(self, how: int) -> None:
        with suppress(OSError):
            super().shutdown(how)


def server_context(tls: Tls, *, client_certificate: bool) -> ssl.SSLContext:
    """Return the TLS context of an acceptor.

    With ``client_certificate``, a requestor without a trusted certificate is refused. Raises
    OSError (which includes ssl.SSLError) if a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    _identify(context, tls)
    if client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        _check_ca(tls.ca)
        context.load_verify_locations(tls.ca)
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """Return the TLS context of a requestor.

    The certificate of the acceptor must match its host and come from a trusted CA: ``ca``, or
    the CAs of the system. Raises OSError if a file cannot be used.
    """
    _check_ca(tls.ca)
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
    # Python 3.13 adds VERIFY_X509_STRICT to the defaults, which refuses the many hospital CAs
    # that lack the key usage extension (docs/decisions/0018-verification.md).
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN


def _identify(context: ssl.SSLContext, tls: Tls) -> None:
    if tls.cert is None:
        raise FileNotFoundError("no certificate")
    for path in (tls.cert, tls.key):
        if path is not None:
            _check_readable(path)
    try:
        # Without a password, OpenSSL would prompt on the terminal and block.
        context.load_cert_chain(tls.cert, tls.key, password=lambda: b"")
    except ssl.SSLError as error:
        raise _why_not_identified(error, tls.cert, tls.key or tls.cert) from None


def _check_ca(path: Path | None) -> None:
    if path is None:
        return
    _check_readable(path)
    if not _has_certificate(path):
        raise _bad_file(path, "it has no certificate in PEM format")


def _why_not_identified(error: ssl.SSLError, cert: Path, key: Path) -> OSError:
    if error.reason == "KEY_VALUES_MISMATCH":
        return _bad_file(key, f"the key does not belong to the certificate {cert}")
    if not _has_certificate(cert):
        return _bad_file(cert, "it has no certificate in PEM format")
    return _bad_file(key, "it has no private key in PEM format without a password")


def _has_certificate(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return False
    return True


def _check_readable(path: Path) -> None:
    with path.open("rb"):  # the errors of OpenSSL do not name the file
        pass


def _bad_file(path: Path, problem: str) -> OSError:
    return OSError(errno.EINVAL, problem, str(path))
