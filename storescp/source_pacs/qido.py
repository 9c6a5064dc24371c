"""QIDO-RS searches with all their pages (PS3.18 8.3.4.4 and 10.6).

A server may limit the number of results. It should say so by a Warning header (299, "There are
… additional results that can be requested"), but not all do: the next page is always requested,
until one has nothing new.
"""

import json
from collections.abc import Mapping
from typing import Any

import requests

from common.dicomnet.address import DicomwebPeer
from common.dicomnet.connection_errors import describe_connection
from common.dicomnet.dicomweb import open_session, read_at_most, value_of
from common.tls import Tls
from storescp.source_pacs.source import ANSWER_SECONDS, SourceUnavailable

MAX_PAGES = 1000
MAX_RESULTS = 100_000
MAX_PAGE_BYTES = 64 * 1024 * 1024
OFFSET_REFUSED = (400, 404, 501)
"""HTTP statuses of servers that do not know ``offset``."""


def search_all(
    peer: DicomwebPeer, tls: Tls, path: str, query: Mapping[str, str], key: str
) -> list[Any]:
    """Return the results of all pages; raises SourceUnavailable.

    ``key`` : tag of the UID that tells results apart.
    """
    found: dict[str, Any] = {}
    try:
        with open_session(peer, tls) as session:
            for _ in range(MAX_PAGES):
                page, more = _search(session, peer.root + path, query, offset=len(found))
                new = {str(value_of(one, key)): one for one in page}
                if not new.keys() - found.keys():
                    return _complete(found, more=more)
                found |= new
                if len(found) > MAX_RESULTS:
                    break
    except OSError as error:
        raise SourceUnavailable(f"QIDO-RS: {describe_connection(error)}") from None
    raise SourceUnavailable(f"QIDO-RS: more than {MAX_RESULTS} results or {MAX_PAGES} pages")


def _complete(found: Mapping[str, Any], *, more: bool) -> list[Any]:
    if more:
        raise SourceUnavailable(f"QIDO-RS: lists {len(found)} results and says there are more")
    return list(found.values())


def _search(
    session: requests.Session, url: str, query: Mapping[str, str], *, offset: int
) -> tuple[list[Any], bool]:
    """Return a page, and whether the server says that there are more results."""
    parameters = {**query, **({"offset": str(offset)} if offset else {})}
    with session.get(url, params=parameters, timeout=ANSWER_SECONDS, stream=True) as answer:
        body = read_at_most(answer, MAX_PAGE_BYTES + 1)
    code = answer.status_code
    if code == requests.codes.no_content or (offset and code in OFFSET_REFUSED):
        return [], False
    try:
        page = json.loads(body) if code == requests.codes.ok else None
    except (ValueError, RecursionError):
        page = None
    if not isinstance(page, list) or len(body) > MAX_PAGE_BYTES:
        raise SourceUnavailable(f"QIDO-RS: HTTP {code}, not understood")
    return page, answer.headers.get("Warning", "").strip().startswith("299")
