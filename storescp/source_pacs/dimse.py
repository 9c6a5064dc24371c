"""C-FIND and C-MOVE at the source PACS (PS3.4 Annex C).

C-MOVE rather than C-GET: the missing instances then arrive by C-STORE like all others, and
a PACS that routes series to this Storage SCP already has it configured as a destination.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydicom import Dataset
from pynetdicom import Association
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from common.dicomnet import status
from common.dicomnet.address import DimsePeer
from common.dicomnet.association import (
    NoAnswer,
    NoAssociation,
    Requestor,
    accepts,
    associated,
    find,
)
from common.spool.layout import SeriesKey
from common.tls import Tls
from storescp.source_pacs.in_time import in_time
from storescp.source_pacs.source import (
    ANSWER_SECONDS,
    FETCH_LIMIT_SECONDS,
    FETCH_SECONDS,
    SourceUnavailable,
)

FIND = StudyRootQueryRetrieveInformationModelFind
MOVE = StudyRootQueryRetrieveInformationModelMove
INSTANCES_PER_MOVE = 100  # up to 64 characters each: some PACS limit the length of a key


@dataclass(frozen=True, slots=True)
class Caller:
    """The source PACS and us."""

    peer: DimsePeer
    ae_title: str
    tls: Tls


class DimseSource:
    """Opens one association a query: a PACS may allow only few to stay open."""

    def __init__(self, peer: DimsePeer, *, ae_title: str, tls: Tls) -> None:
        self._caller = Caller(peer, ae_title, tls)

    def count(self, key: SeriesKey) -> int:
        """Return Number of Series Related Instances; without it, count the instances."""
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
        """Return the SOP Instance UIDs that the PACS has."""
        answers = self._find(_keys(key) | {"SOPInstanceUID": None}, "IMAGE")
        return frozenset(str(answer.get("SOPInstanceUID", "")) for answer in answers)

    def fetch(self, key: SeriesKey, sop_instance_uids: Sequence[str], *, of: int) -> None:
        """Move the instances to this Storage SCP."""
        in_time(move, self._caller, key, tuple(sop_instance_uids), seconds=FETCH_LIMIT_SECONDS)

    def _find(self, keys: dict[str, Any], level: str) -> list[Dataset]:
        return in_time(search, self._caller, keys, level)


def search(caller: Caller, keys: dict[str, Any], level: str) -> list[Dataset]:
    """Send C-FIND and return all matches; raises SourceUnavailable."""
    with _association(caller, FIND, ANSWER_SECONDS) as assoc:
        answers, ended = find(assoc, FIND, keys, level=level)
    if not ended:
        raise SourceUnavailable("C-FIND failed")
    return answers


def move(caller: Caller, key: SeriesKey, sop_instance_uids: Sequence[str]) -> None:
    """Move instances to the AE title of the caller; raises SourceUnavailable."""
    wanted = iter(sop_instance_uids)
    with _association(caller, MOVE, FETCH_SECONDS) as assoc:
        while some := list(islice(wanted, INSTANCES_PER_MOVE)):
            _move(assoc, caller.ae_title, key, some)


def _move(
    assoc: Association, destination: str, key: SeriesKey, sop_instance_uids: list[str]
) -> None:
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    for keyword, value in _keys(key).items():
        setattr(query, keyword, value)
    query.SOPInstanceUID = sop_instance_uids
    code = status.PENDING
    for answer, _ in assoc.send_c_move(query, destination, MOVE):
        code = answer.get("Status", -1)
    if code == status.MOVE_DESTINATION_UNKNOWN:
        raise SourceUnavailable(
            f"C-MOVE 0xA801: enter {destination} with our host and port at the PACS"
        )
    if code not in (status.SUCCESS, status.SUB_OPERATIONS_FAILED):
        answered = "without an answer" if code in (-1, status.PENDING) else f"0x{code:04X}"
        raise SourceUnavailable(f"C-MOVE {answered}")


@contextmanager
def _association(caller: Caller, model: str, answer_seconds: float) -> Iterator[Association]:
    try:
        with associated(
            caller.peer,
            [model],
            Requestor(caller.ae_title, caller.tls),
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
