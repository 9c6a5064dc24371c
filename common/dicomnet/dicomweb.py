"""HTTP sessions with a DICOMweb server: token, TLS profile and DICOM JSON (PS3.18 F)."""

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from common.dicomnet.address import DicomwebPeer
from common.dicomnet.connection_deadline import ConnectionDeadline
from common.tls import Tls, client_context

JSON = "application/dicom+json"


class _Adapter(HTTPAdapter):  # type: ignore[misc] # requests is untyped
    """Opens connections under a deadline, if there is one."""

    def __init__(self, deadline: ConnectionDeadline | None) -> None:
        self._deadline = deadline
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        pool = super().get_connection_with_tls_context(*args, **options)
        if self._deadline is not None:
            self._deadline.apply_to(pool)
        return pool


class _TlsAdapter(_Adapter):
    """HTTPS with the TLS profile of the settings, and only its CA where one is set.

    requests would add its own CAs, or those of REQUESTS_CA_BUNDLE, to those of the context.
    """

    def __init__(self, tls: Tls, deadline: ConnectionDeadline | None) -> None:
        self._context = client_context(tls)
        self._verify: str | bool = True if tls.ca is None else str(tls.ca)
        super().__init__(deadline)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._context)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        return super().send(request, **options | {"verify": self._verify})


def open_session(
    peer: DicomwebPeer, tls: Tls, deadline: ConnectionDeadline | None = None
) -> requests.Session:
    """Open a session, which the caller closes; raises OSError where a TLS file is bad."""
    session = requests.Session()
    session.mount("http://", _Adapter(deadline))
    if peer.url.scheme == "https":
        session.mount("https://", _TlsAdapter(tls, deadline))
    session.headers["Accept"] = JSON
    if peer.token is not None:
        session.headers["Authorization"] = f"Bearer {peer.token.get_secret_value()}"
    return session


def read_at_most(answer: requests.Response, limit: int) -> bytes:
    """Return up to ``limit`` bytes of a streamed body, decompressed.

    Raises requests.ConnectionError where the body ends early or is malformed.
    """
    try:
        return bytes(answer.raw.read(limit, decode_content=True))
    except HTTPError as error:
        raise requests.ConnectionError(error) from None


def json_of(answer: requests.Response) -> Any:
    """Return the JSON of a response, or None where it is not JSON."""
    try:
        return answer.json()
    except requests.JSONDecodeError:
        return None


def value_of(item: Any, tag: str) -> Any:
    """Return the first value of an element of a DICOM JSON data set, or None."""
    element = item.get(tag) if isinstance(item, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None
