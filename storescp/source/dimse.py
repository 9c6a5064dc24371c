"""C-FIND and C-MOVE at the source PACS (PS3.4 Annex C).

C-MOVE and not C-GET: what is missing then comes as a C-STORE to our own Storage SCP, by the
same way as all else, and every PACS that routes series to us knows us as a destination already.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from pydicom import Dataset
from pynetdicom import Association
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from db.spool import SeriesKey
from db.tls import Tls
from peers.address import DimsePeer
from peers.association import NoAnswer, NoAssociation, accepts, associated, find
from storescp.source.pacs import ANSWER_SECONDS, FETCH_SECONDS, SourceUnavailable

SUCCESS, WARNING = 0x0000, 0xB000  # B000: complete, some sub-operations failed
PENDING = 0xFF00
MOVE_DESTINATION_UNKNOWN = 0xA801
INSTANCES_PER_MOVE = 100  # of 64 characters each: some PACS bound the length of a key


class DimseSource:
    """Every question has an association of its own: a PACS may keep few of them open."""

    def __init__(self, peer: DimsePeer, *, ae_title: str, tls: Tls) -> None:
        self._peer = peer
        self._ae_title = ae_title
        self._tls = tls

    def count(self, key: SeriesKey) -> int:
        """Number of Series Related Instances; where it is not told, the instances counted."""
        keys = _keys(key) | {"NumberOfSeriesRelatedInstances": None}
        answers = self._find(keys, "SERIES")
        counts = [
            int(answer.NumberOfSeriesRelatedInstances)
            for answer in answers
            if answer.get("SeriesInstanceUID") == key.series_instance_uid
            and answer.get("NumberOfSeriesRelatedInstances") is not None
        ]
        if answers and not counts:
            return len(self.instances(key))
        return max(counts, default=0)

    def instances(self, key: SeriesKey) -> frozenset[str]:
        """The SOP Instance UIDs that the PACS has."""
        answers = self._find(_keys(key) | {"SOPInstanceUID": None}, "IMAGE")
        return frozenset(str(answer.get("SOPInstanceUID", "")) for answer in answers)

    def fetch(self, key: SeriesKey, sop_instance_uids: Sequence[str], *, of: int) -> None:
        """Have them sent to our Storage SCP."""
        wanted = iter(sop_instance_uids)
        model = StudyRootQueryRetrieveInformationModelMove
        with self._association(model, FETCH_SECONDS) as assoc:
            while some := list(islice(wanted, INSTANCES_PER_MOVE)):
                self._move(assoc, key, some)

    def _move(self, assoc: Association, key: SeriesKey, sop_instance_uids: list[str]) -> None:
        query = Dataset()
        query.QueryRetrieveLevel = "IMAGE"
        for keyword, value in _keys(key).items():
            setattr(query, keyword, value)
        query.SOPInstanceUID = sop_instance_uids
        model = StudyRootQueryRetrieveInformationModelMove
        status = PENDING
        for answer, _ in assoc.send_c_move(query, self._ae_title, model):
            status = answer.get("Status", -1)
        if status == MOVE_DESTINATION_UNKNOWN:
            raise SourceUnavailable(
                f"C-MOVE 0xA801: enter {self._ae_title} with our host and port at the PACS"
            )
        if status not in (SUCCESS, WARNING):
            answered = "without an answer" if status in (-1, PENDING) else f"0x{status:04X}"
            raise SourceUnavailable(f"C-MOVE {answered}")

    def _find(self, keys: dict[str, Any], level: str) -> list[Dataset]:
        model = StudyRootQueryRetrieveInformationModelFind
        with self._association(model, ANSWER_SECONDS) as assoc:
            answers, ended = find(assoc, model, keys, level=level)
        if not ended:
            raise SourceUnavailable("C-FIND came to no good end")
        return answers

    @contextmanager
    def _association(self, model: str, answer_seconds: float) -> Iterator[Association]:
        try:
            with associated(
                self._peer,
                [model],
                ae_title=self._ae_title,
                tls=self._tls,
                answer_seconds=answer_seconds,
            ) as assoc:
                if not accepts(assoc, model):
                    raise SourceUnavailable("Query/Retrieve is not accepted")
                yield assoc
        except NoAssociation as error:
            raise SourceUnavailable(f"{error.status}: {error.text}") from None
        except NoAnswer as error:
            raise SourceUnavailable(f"{error} without an answer") from None


def _keys(key: SeriesKey) -> dict[str, Any]:
    return {
        "StudyInstanceUID": key.study_instance_uid,
        "SeriesInstanceUID": key.series_instance_uid,
    }
