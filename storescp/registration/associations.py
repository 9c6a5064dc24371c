"""Open associations and HTTP requests: their limits, and the series that each one sends.

Lost at a crash without harm: the scan finds unregistered series in the spool.
"""

import threading
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from common.spool.layout import SeriesKey
from storescp.registration.arrival import Arrival
from storescp.registration.pending_series import PendingSeries
from storescp.registration.refused_instances import MAX_INSTANCES

LimitReached = Literal["full", "peer full"]
RESERVED_SHARE = 4
"""Of 1/4 of the places, an address gets at most one: a few addresses cannot take them all."""


class AssociationRegistry(Protocol):
    """``Associations``, or its proxy in a receiver process (``AssociationsProxy``)."""

    def open(self, sender: Hashable, peer: str) -> LimitReached | None: ...

    def close(self, sender: Hashable, *, released: bool) -> bool: ...

    def instance_stored(self, sender: Hashable, arrival: Arrival) -> str | None: ...

    def instance_refused(
        self, sender: Hashable, key: SeriesKey | None, sop_instance_uid: str, *, now: float
    ) -> None: ...

    def count(self) -> int: ...

    def senders(self) -> list[Hashable]: ...


@dataclass(slots=True)
class _Sender:
    """``current`` : series of the newest instance. ``sent`` : instances by series.

    ``refused`` : instances of unknown series that were refused before the first was stored.
    """

    peer: str
    current: SeriesKey | None = None
    sent: Counter[SeriesKey] = field(default_factory=Counter)
    refused: set[str] = field(default_factory=set)


class Associations:
    """The open associations of all receiver processes, with STOW-RS requests. Thread-safe."""

    def __init__(self, pending: PendingSeries, *, limit: int, limit_per_peer: int) -> None:
        self._pending = pending
        self._limit = limit
        self._limit_per_peer = limit_per_peer
        self._lock = threading.Lock()
        self._senders: dict[Hashable, _Sender] = {}

    def open(self, sender: Hashable, peer: str) -> LimitReached | None:
        """Admit an association; return the limit that forbids it, if one does."""
        with self._lock:
            if len(self._senders) >= self._limit:
                return "full"
            of_peer = sum(one.peer == peer for one in self._senders.values())
            unreserved = self._limit - self._limit // RESERVED_SHARE
            if of_peer >= self._limit_per_peer or (
                of_peer and len(self._senders) >= unreserved
            ):
                return "peer full"
            self._senders[sender] = _Sender(peer)
            return None

    def close(self, sender: Hashable, *, released: bool) -> bool:
        """Remove an association that ended, by release or otherwise; False: it is not open.

        A release is evidence of completion only for a series of which the association sent
        more than one instance: some senders open one association for each instance.
        """
        with self._lock:
            ended = self._senders.pop(sender, None)
            if ended is None:
                return False
            self._pending.sender_changed(ended.current, None)
            for key, count in ended.sent.items():
                self._pending.sender_ended(
                    key,
                    released=released and count > 1,
                    broken_off=not released and key == ended.current,
                )
            return True

    def instance_stored(self, sender: Hashable, arrival: Arrival) -> str | None:
        """Record a durable instance; result as ``PendingSeries``.

        ``sender`` may be closed already, or a fetch that was never opened.
        """
        with self._lock:
            known = self._senders.get(sender)
            if known is not None:
                if known.current != arrival.key:
                    self._pending.sender_changed(known.current, arrival.key)
                    known.current = arrival.key
                known.sent[arrival.key] += 1
                for uid in known.refused:
                    self._pending.instance_refused(arrival.key, uid, now=arrival.at)
                known.refused.clear()
            return self._pending.instance_stored(arrival)

    def instance_refused(
        self, sender: Hashable, key: SeriesKey | None, sop_instance_uid: str, *, now: float
    ) -> None:
        """Record an instance that was refused, or broken off by the end of its association.

        ``key`` : its series; None where its data set did not tell. It is then taken to be of
        the series that the sender sends.
        """
        with self._lock:
            known = self._senders.get(sender)
            if key is None and known is not None:
                key = known.current
            if key is not None:
                self._pending.instance_refused(key, sop_instance_uid, now=now)
            elif known is not None and len(known.refused) < MAX_INSTANCES:
                known.refused.add(sop_instance_uid)

    def studies(self) -> set[str]:
        """Return the studies of which an open association has sent an instance."""
        with self._lock:
            return {
                key.study_instance_uid for one in self._senders.values() for key in one.sent
            }

    def count(self) -> int:
        """Return the number of open associations."""
        with self._lock:
            return len(self._senders)

    def senders(self) -> list[Hashable]:
        """Return the open associations."""
        with self._lock:
            return list(self._senders)
