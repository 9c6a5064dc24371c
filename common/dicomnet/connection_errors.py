"""Causes of a failed connection, without the text of the error, which may repeat a URL."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeGuard

import requests
from urllib3.exceptions import NameResolutionError, NewConnectionError

PROBE_SECONDS = 5.0
ALERT_SECONDS = 1.0
UNTRUSTED = "the certificate of the server is not trusted"
# X509_V_ERR_* of OpenSSL.
CERTIFICATE_ERRORS = {
    10: "the certificate of the server has expired",
    18: f"{UNTRUSTED}: it is self-signed",
    19: f"{UNTRUSTED}: its chain ends at a self-signed certificate",
    20: f"{UNTRUSTED}: its issuer is unknown",
    21: f"{UNTRUSTED}: its issuer is unknown",
    62: "the certificate of the server is for another host name",
    64: "the certificate of the server is for another address",
}


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors that it wraps, the outermost first."""
    pending: list[object] = [error]
    while pending:
        one = pending.pop(0)
        if isinstance(one, BaseException):
            yield one
            wrapped = (getattr(one, "reason", None), *one.args, one.__cause__, one.__context__)
            pending += [cause for cause in wrapped if cause is not one][:8]


def describe_connection(error: OSError) -> str:
    """Return the cause of a failed connection in words."""
    for cause in _some(error):
        if _of_file(cause):
            return f"a TLS file cannot be used: {cause.filename}: {cause.strerror}"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CERTIFICATE_ERRORS.get(cause.verify_code, UNTRUSTED)
        if isinstance(cause, NameResolutionError | socket.gaierror):
            return "the host name is unknown"
        if isinstance(cause, ConnectionRefusedError):
            return "the connection is refused: nothing listens at this host and port"
    for cause in _some(error):
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {(cause.reason or 'no reason').replace('_', ' ').lower()}"
    return f"no answer from the server ({type(error).__name__})"


def probe_connection(host: str, port: int, context: ssl.SSLContext | None) -> str | None:
    """Connect once, to find why an association request got no answer; None: it connects."""
    try:
        with socket.create_connection((host, port), PROBE_SECONDS) as connection:
            if context is not None:
                with context.wrap_socket(connection, server_hostname=host) as secure:
                    _wait_for_alert(secure)
    except OSError as error:
        return describe_connection(error)
    return None


def _wait_for_alert(secure: ssl.SSLSocket) -> None:
    """Read once: in TLS 1.3 the server looks at our certificate after the handshake."""
    secure.settimeout(ALERT_SECONDS)
    with suppress(TimeoutError):
        secure.recv(1)


def is_before_request(error: OSError) -> bool:
    """Return whether the connection failed before a request was sent."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    return any(
        isinstance(cause, NewConnectionError | ssl.SSLError | socket.gaierror)
        or _of_file(cause)
        for cause in _some(error)
    )


def _of_file(error: BaseException) -> TypeGuard[OSError]:
    return isinstance(error, OSError) and error.filename is not None


def _some(error: OSError, limit: int = 32) -> list[BaseException]:
    return [cause for cause, _ in zip(causes(error), range(limit), strict=False)]
