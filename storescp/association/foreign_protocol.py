"""Clients of other protocols at the DICOM port: recognize them and answer in their protocol."""

from dataclasses import dataclass

HTTP_METHODS = (
    b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"OPTIONS ", b"TRACE ",
    b"PATCH ", b"PRI * ",
)  # fmt: skip
TLS_HANDSHAKE = b"\x16\x03"  # RFC 8446 5.1: content type handshake, major version 3
TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x46"  # fatal, protocol_version (RFC 8446 6)

HTTP_TEXT = b"This port speaks DICOM, not HTTP.\n"
HTTP_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(HTTP_TEXT), HTTP_TEXT)
)


@dataclass(frozen=True, slots=True)
class ForeignProtocol:
    """What a client speaks, the answer to it, and the remedy for the log."""

    name: str
    answer: bytes
    remedy: str


TLS = ForeignProtocol(
    "tls",
    TLS_ALERT,
    "this port is not encrypted: disable TLS at the sender, or set OSTEOSCREEN_TLS_CERT and"
    " OSTEOSCREEN_TLS_KEY",
)
HTTP = ForeignProtocol(
    "http",
    HTTP_ANSWER,
    "this port is for DICOM: DICOMweb senders use OSTEOSCREEN_STOW_PORT, probes use"
    " OSTEOSCREEN_METRICS_PORT",
)
OTHER = ForeignProtocol("unknown", b"", "this port is for DICOM: check what connects to it")


def foreign_protocol(start: bytes) -> ForeignProtocol | None:
    """Return the protocol of a client by its first bytes, or None for a PDU (PS3.8 9.3.1).

    ``start`` : at least 6 bytes, the length of a PDU header.
    """
    if start.startswith(TLS_HANDSHAKE):
        return TLS
    if any(start.startswith(method[: len(start)]) for method in HTTP_METHODS):
        return HTTP
    return None if 1 <= start[0] <= 7 else OTHER
