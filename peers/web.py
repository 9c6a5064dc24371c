"""A session with a DICOMweb server: its token, TLS by our profile, and its JSON (PS3.18 F)."""

from typing import Any

import requests
from requests.adapters import HTTPAdapter

from db.tls import Tls, client_context
from peers.address import DicomwebPeer

JSON = "application/dicom+json"


class _TlsAdapter(HTTPAdapter):  # type: ignore[misc] # requests is untyped
    """HTTPS as our profile wants it, and by our CA alone where one is set.

    requests would add its own CAs, or those of REQUESTS_CA_BUNDLE, to what the context trusts.
    """

    def __init__(self, tls: Tls) -> None:
        self._context = client_context(tls)
        self._verify: str | bool = True if tls.ca is None else str(tls.ca)
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._context)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        return super().send(request, **options | {"verify": self._verify})


def open_session(peer: DicomwebPeer, tls: Tls) -> requests.Session:
    """A session to be closed by the caller; raises OSError where our TLS files are bad."""
    session = requests.Session()
    if peer.url.scheme == "https":
        session.mount("https://", _TlsAdapter(tls))
    session.headers["Accept"] = JSON
    if peer.token is not None:
        session.headers["Authorization"] = f"Bearer {peer.token.get_secret_value()}"
    return session


def json_of(answer: requests.Response) -> Any:
    """The JSON of an answer, None where it is none."""
    try:
        return answer.json()
    except requests.JSONDecodeError:
        return None


def value_of(item: Any, tag: str) -> Any:
    """The first value of an element, None where there is none or it is no data set."""
    element = item.get(tag) if isinstance(item, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None
