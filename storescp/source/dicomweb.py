"""QIDO-RS and WADO-RS at the source PACS (PS3.18 10.6 and 10.4)."""

import threading
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import requests

from db.spool import SeriesKey, is_valid_uid
from db.tls import Tls
from peers.address import DicomwebPeer
from peers.web import json_of, open_session, value_of
from storescp.file_intake import FileIntake
from storescp.operation import Intake
from storescp.source.pacs import ANSWER_SECONDS, FETCH_SECONDS, SourceUnavailable
from storescp.stow.multipart import BadMultipart, Parts, boundary_of

SERIES_INSTANCE_UID = "0020000E"
SOP_INSTANCE_UID = "00080018"
NUMBER_OF_SERIES_RELATED_INSTANCES = "00201209"
# As it was stored: no transfer syntax is converted to another.
FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
SOURCE = "WADO-RS"
PART_BYTES = 256 * 1024
PARALLEL = 4


class DicomwebSource:
    """Every question has a session of its own: they are few, and threads share nothing."""

    def __init__(self, peer: DicomwebPeer, *, tls: Tls, intake: Intake) -> None:
        self._peer = peer
        self._tls = tls
        self._intake = intake

    def count(self, key: SeriesKey) -> int:
        """Number of Series Related Instances; where it is not told, the instances counted."""
        query = {
            "SeriesInstanceUID": key.series_instance_uid,
            "includefield": NUMBER_OF_SERIES_RELATED_INSTANCES,
        }
        answers = self._search(f"/studies/{key.study_instance_uid}/series", query)
        found = [
            value_of(one, NUMBER_OF_SERIES_RELATED_INSTANCES)
            for one in answers
            if value_of(one, SERIES_INSTANCE_UID) == key.series_instance_uid
        ]
        try:
            counts = [int(count) for count in found if count is not None]
        except (TypeError, ValueError):
            raise SourceUnavailable("QIDO-RS: the count is no number") from None
        if found and not counts:
            return len(self.instances(key))
        return max(counts, default=0)

    def instances(self, key: SeriesKey) -> frozenset[str]:
        """The SOP Instance UIDs that the PACS has."""
        found = self._search(f"{_series(key)}/instances", {})
        return frozenset(str(value_of(one, SOP_INSTANCE_UID)) for one in found)

    def fetch(self, key: SeriesKey, sop_instance_uids: Sequence[str], *, of: int) -> None:
        """Get the whole series at once where half of it is missing, then by instance what did
        not come so, with a few requests at a time. Each instance is durable as it ends.
        """
        sender = _Fetch()
        intake = FileIntake(self._intake, sender=sender, source=SOURCE)
        if 2 * len(sop_instance_uids) >= of:
            # Where it breaks off, or is refused, the requests that follow get the rest.
            with suppress(SourceUnavailable):
                self._get_all([_series(key)], intake)
        came = {one.sop_instance_uid for one in intake.received}
        paths = [
            f"{_series(key)}/instances/{uid}"
            for uid in sop_instance_uids
            if uid not in came and is_valid_uid(uid)
        ]
        shares = [paths[first::PARALLEL] for first in range(PARALLEL)]
        self._in_parallel(shares, sender)

    def _in_parallel(self, shares: Sequence[Sequence[str]], sender: Hashable) -> None:
        errors: list[Exception] = []

        def get(paths: Sequence[str]) -> None:
            try:
                self._get_all(paths, FileIntake(self._intake, sender=sender, source=SOURCE))
            except Exception as error:
                # Of a thread that nobody would hear of; raised below.
                errors.append(error)

        threads = [
            # Daemons, so that the process need not wait for a slow archive to stop.
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

    def _get_all(self, paths: Iterable[str], intake: FileIntake) -> None:
        try:
            with open_session(self._peer, self._tls) as session:
                for path in paths:
                    self._get(session, path, intake)
        except OSError as error:  # requests' own errors are, and ssl's
            raise _no_answer(error) from None

    def _get(self, session: requests.Session, path: str, intake: FileIntake) -> None:
        with session.get(
            self._peer.root + path,
            headers={"Accept": FILES},
            timeout=(ANSWER_SECONDS, FETCH_SECONDS),
            stream=True,
        ) as answer:
            if answer.status_code != requests.codes.ok:
                raise SourceUnavailable(f"WADO-RS: HTTP {answer.status_code}")
            _, _, boundary = boundary_of(answer.headers.get("Content-Type", ""))
            parts = Parts(boundary, lambda _: intake)
            try:
                for part in answer.iter_content(PART_BYTES):
                    parts.write(part)
                parts.finish()
            except BadMultipart as error:
                raise SourceUnavailable(f"WADO-RS: {error}") from None
            finally:
                parts.discard()

    def _search(self, path: str, query: dict[str, str]) -> list[Any]:
        try:
            with open_session(self._peer, self._tls) as session:
                answer = session.get(
                    self._peer.root + path, params=query, timeout=ANSWER_SECONDS
                )
        except OSError as error:
            raise _no_answer(error) from None
        if answer.status_code == requests.codes.no_content:
            return []
        found = json_of(answer)
        if answer.status_code != requests.codes.ok or not isinstance(found, list):
            raise SourceUnavailable(f"QIDO-RS: HTTP {answer.status_code}")
        return found


class _Fetch:
    """A sender: all requests of one fetch have one name in the log."""


def _series(key: SeriesKey) -> str:
    return f"/studies/{key.study_instance_uid}/series/{key.series_instance_uid}"


def _no_answer(error: OSError) -> SourceUnavailable:
    # The class alone: the text of the error repeats the URL with all that is in it.
    return SourceUnavailable(f"no answer from the server ({type(error).__name__})")
