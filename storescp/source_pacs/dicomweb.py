"""QIDO-RS and WADO-RS at the source PACS (PS3.18 10.6 and 10.4)."""

import threading
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import requests

from common.dicom.uids import is_valid_uid
from common.dicomnet.address import DicomwebPeer
from common.dicomnet.connection_deadline import ConnectionDeadline
from common.dicomnet.dicomweb import open_session, value_of
from common.dicomnet.multipart import BadMultipart, MultipartReader, boundary_of
from common.spool.held import WADO_RS
from common.spool.layout import SeriesKey
from common.tls import Tls
from storescp.source_pacs.in_time import in_time
from storescp.source_pacs.qido import search_all
from storescp.source_pacs.source import (
    ANSWER_SECONDS,
    FETCH_LIMIT_SECONDS,
    FETCH_SECONDS,
    SourceUnavailable,
)
from storescp.store.part10_writer import Part10Writer
from storescp.store.store_operation import StorageService

SERIES_INSTANCE_UID = "0020000E"
SOP_INSTANCE_UID = "00080018"
NUMBER_OF_SERIES_RELATED_INSTANCES = "00201209"
# As stored: without conversion of the transfer syntax.
FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
SOURCE = WADO_RS
PART_BYTES = 256 * 1024
PARALLEL = 4


class DicomwebSource:
    """Opens one HTTP session a query, so that threads share nothing."""

    def __init__(self, peer: DicomwebPeer, *, tls: Tls, service: StorageService) -> None:
        self._peer = peer
        self._tls = tls
        self._service = service

    def count(self, key: SeriesKey) -> int:
        """Return Number of Series Related Instances; without it, count the instances."""
        query = {
            "SeriesInstanceUID": key.series_instance_uid,
            "includefield": NUMBER_OF_SERIES_RELATED_INSTANCES,
        }
        path = f"/studies/{key.study_instance_uid}/series"
        answers = self._search(path, query, SERIES_INSTANCE_UID)
        found = [
            value_of(one, NUMBER_OF_SERIES_RELATED_INSTANCES)
            for one in answers
            if value_of(one, SERIES_INSTANCE_UID) == key.series_instance_uid
        ]
        try:
            counts = [int(count) for count in found if count is not None]
        except (TypeError, ValueError):
            raise SourceUnavailable("QIDO-RS: the count is not a number") from None
        if found and not counts:
            return len(self.instances(key))
        return max(counts, default=0)

    def instances(self, key: SeriesKey) -> frozenset[str]:
        """Return the SOP Instance UIDs that the PACS has."""
        found = self._search(f"{_series(key)}/instances", {}, SOP_INSTANCE_UID)
        return frozenset(str(value_of(one, SOP_INSTANCE_UID)) for one in found)

    def fetch(self, key: SeriesKey, sop_instance_uids: Sequence[str], *, of: int) -> None:
        """Retrieve the series where at least half of it is missing, then single instances.

        Single instances are retrieved by ``PARALLEL`` threads. Each one is durable when its
        part ends. All connections end after ``FETCH_LIMIT_SECONDS``.
        """
        with ConnectionDeadline(FETCH_LIMIT_SECONDS) as deadline:
            try:
                self._fetch(key, sop_instance_uids, of, deadline)
            except SourceUnavailable:
                if not deadline.passed:
                    raise
                raise SourceUnavailable(
                    f"WADO-RS: not complete within {FETCH_LIMIT_SECONDS:g} s"
                ) from None

    def _fetch(
        self,
        key: SeriesKey,
        sop_instance_uids: Sequence[str],
        of: int,
        deadline: ConnectionDeadline,
    ) -> None:
        sender = _Fetch()
        files = self._files(sender)
        if 2 * len(sop_instance_uids) >= of:
            # After a failure, the following requests retrieve the rest.
            with suppress(SourceUnavailable):
                self._get_all([_series(key)], files, deadline)
        retrieved = {one.sop_instance_uid for one in files.outcomes}
        paths = [
            f"{_series(key)}/instances/{uid}"
            for uid in sop_instance_uids
            if uid not in retrieved and is_valid_uid(uid)
        ]
        shares = [paths[first::PARALLEL] for first in range(PARALLEL)]
        self._in_parallel(shares, sender, deadline)

    def _files(self, sender: Hashable) -> Part10Writer:
        return Part10Writer(self._service, sender=sender, source=SOURCE, fills_gaps=True)

    def _in_parallel(
        self,
        shares: Sequence[Sequence[str]],
        sender: Hashable,
        deadline: ConnectionDeadline,
    ) -> None:
        errors: list[Exception] = []

        def get(paths: Sequence[str]) -> None:
            try:
                self._get_all(paths, self._files(sender), deadline)
            except Exception as error:
                # Raised below: an exception in a thread is lost.
                errors.append(error)

        threads = [
            # Daemons: a slow archive must not delay the end of the process.
            threading.Thread(target=get, args=(paths,), name="fetch", daemon=True)
            for paths in shares
            if paths
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def _get_all(
        self, paths: Iterable[str], files: Part10Writer, deadline: ConnectionDeadline
    ) -> None:
        try:
            with open_session(self._peer, self._tls, deadline) as session:
                for path in paths:
                    self._get(session, path, files)
        except OSError as error:  # including the errors of requests and ssl
            raise _no_answer(error) from None

    def _get(self, session: requests.Session, path: str, files: Part10Writer) -> None:
        with session.get(
            self._peer.root + path,
            headers={"Accept": FILES},
            timeout=(ANSWER_SECONDS, FETCH_SECONDS),
            stream=True,
        ) as answer:
            if answer.status_code != requests.codes.ok:
                raise SourceUnavailable(f"WADO-RS: HTTP {answer.status_code}")
            try:
                _read_parts(answer, files)
            except BadMultipart as error:
                raise SourceUnavailable(f"WADO-RS: {error}") from None

    def _search(self, path: str, query: dict[str, str], key: str) -> list[Any]:
        return in_time(search_all, self._peer, self._tls, path, query, key)


def _read_parts(answer: requests.Response, files: Part10Writer) -> None:
    _, _, boundary = boundary_of(answer.headers.get("Content-Type", ""))
    parts = MultipartReader(boundary, lambda _: files)
    try:
        for part in answer.iter_content(PART_BYTES):
            parts.write(part)
        parts.finish()
    finally:
        parts.discard()


class _Fetch:
    """The sender of all requests of one fetch: they share one log ID."""


def _series(key: SeriesKey) -> str:
    return f"/studies/{key.study_instance_uid}/series/{key.series_instance_uid}"


def _no_answer(error: OSError) -> SourceUnavailable:
    # Class only: the text of the error repeats the URL with all that it contains.
    return SourceUnavailable(f"no answer from the server ({type(error).__name__})")
