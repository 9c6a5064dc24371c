"""Remedies for what a destination answers, or for why it does not."""

from common.dicomnet.association import NO_ASSOCIATION_ANSWER, NO_CONTEXT
from common.settings.worker import WorkerSettings
from worker.delivery.result import DEADLINE, Refused, Unreachable
from worker.delivery.stow_client import NOT_UNDERSTOOD

CHECK_ADDRESS = "check host, port and firewall of the destination"
CHECK_TOKEN = "check token and url of the destination, and what the token allows at the server"  # noqa: S105
CHECK_URL = "enter the root of the DICOMweb services as url of the destination"
BUSY = "wait, or raise the limit of associations at the PACS"

# By the beginning of the text of an outcome (common/dicomnet/connection_errors.py).
CONNECTION_REMEDIES = {
    "a TLS file": "correct the file and its permissions (OSTEOSCREEN_TLS_CA, _CERT, _KEY)",
    "the certificate of the server is not trusted": "put the CA of the server, or its"
    " self-signed certificate, into the file OSTEOSCREEN_TLS_CA",
    "the certificate of the server has expired": "have the certificate of the server renewed",
    "the certificate of the server is for another": "enter the name in the certificate as the"
    " host of the destination, or have the certificate issued for this host",
    "the host name is": "correct the host of the destination, or the name server",
    "the connection is refused": "start the server, or correct host and port",
    "TLS failed": "check that the server speaks TLS 1.2 or 1.3 at this port, and that it trusts"
    " OSTEOSCREEN_TLS_CERT",
    NO_ASSOCIATION_ANSWER: "check that a DICOM service listens at this port, with or without"
    ' TLS as "tls" of the destination says',
}
HTTP_REMEDIES = {
    "HTTP 401": CHECK_TOKEN,
    "HTTP 403": CHECK_TOKEN,
    "HTTP 404": CHECK_URL,
    "HTTP 405": CHECK_URL,
    "HTTP 407": "let the proxy pass the requests of this host, or set NO_PROXY",
    "HTTP 415": "have the server accept application/dicom in multipart/related",
    "HTTP 429": "wait, or have the limit of requests raised",
}


def remedy_of(outcome: Refused | Unreachable, settings: WorkerSettings) -> str:
    """Return what to do about an outcome of a probe."""
    status, text = outcome.status, outcome.text
    if status.startswith("A-ASSOCIATE-RJ"):
        return _of_rejection(status, settings)
    if status == NO_CONTEXT:
        return f"have the PACS accept Verification and storage from {settings.ae_title}"
    if text.startswith(NOT_UNDERSTOOD):
        return f"{CHECK_URL}: this address answers by something else, such as a login page"
    if status.startswith("HTTP"):
        return _of_http(status)
    for beginning, remedy in CONNECTION_REMEDIES.items():
        if text.startswith(beginning):
            return remedy
    if status == DEADLINE:
        return "find out at the destination why it does not answer; start it again"
    return CHECK_ADDRESS


def _of_rejection(status: str, settings: WorkerSettings) -> str:
    """Return the remedy for result/source/reason (PS3.8 Table 9-21)."""
    result, source, _ = status.removeprefix("A-ASSOCIATE-RJ ").split("/")
    if result == "2" or source == "3":
        return BUSY
    return f"enter our AE title {settings.ae_title} at the PACS, and its own title here"


def _of_http(status: str) -> str:
    if status.startswith("HTTP 3"):
        return "enter the address that the server names as url of the destination"
    if status.startswith("HTTP 5"):
        return "find the cause in the log of the server, or of the proxy before it"
    return HTTP_REMEDIES.get(status, CHECK_URL)
