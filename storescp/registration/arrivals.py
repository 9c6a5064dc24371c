"""What is arriving now: the series that are not registered yet, and who is sending them.

The only thing that association threads and the completion thread share. It holds nothing that
cannot be found again on disk: after a crash the scan rebuilds it from the spool.
"""

import threading
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from db.intake import CompletedBy
from db.spool import SeriesKey
from storescp.registration.completion import Evidence, judge
from storescp.source.census import MAX_FETCHES, Census, ask_at, fetch_at, next_census

Full = Literal["full", "peer full"] | None


class Associations(Protocol):
    """What associations tell of themselves: ``Arrivals``, or what stands for it in another
    process (``ToldArrivals``)."""

    def enter(
        self, sender: Hashable, peer: str, *, limit: int, limit_per_peer: int
    ) -> Full: ...

    def leave(self, sender: Hashable, *, released: bool) -> bool: ...

    def note(
        self,
        sender: Hashable,
        key: SeriesKey,
        *,
        assoc_id: str,
        calling_ae_title: str,
        changed: bool,
        now: float,
    ) -> str | None: ...

    def open_associations(self) -> int: ...

    def senders(self) -> list[Hashable]: ...


@dataclass(slots=True)
class _Pending:
    last_arrival: float
    instances: int = 0
    calling_ae_title: str | None = None
    correlation_id: str | None = None
    assoc_ids: set[str] = field(default_factory=set)
    found_by_scan: bool = False
    released: bool = False
    opened: bool = False
    not_before: float = 0.0
    census: Census | None = None
    asking: bool = False


@dataclass(slots=True)
class _Sender:
    peer: str
    current: SeriesKey | None = None
    sent: Counter[SeriesKey] = field(default_factory=Counter)


class Arrivals:
    """Thread-safe; times are seconds of one monotonic clock that the callers read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[SeriesKey, _Pending] = {}
        self._senders: dict[Hashable, _Sender] = {}

    def enter(self, sender: Hashable, peer: str, *, limit: int, limit_per_peer: int) -> Full:
        """Admit an association, unless too many are open, of all or of this peer."""
        with self._lock:
            if len(self._senders) >= limit:
                return "full"
            of_peer = sum(one.peer == peer for one in self._senders.values())
            if of_peer >= limit_per_peer:
                return "peer full"
            self._senders[sender] = _Sender(peer)
            return None

    def leave(self, sender: Hashable, *, released: bool) -> bool:
        """Forget an association that ended, by release or otherwise; False when it is unknown.

        Its release is evidence only for a series of which it sent more than one instance:
        where every instance has an association of its own, the end of one says nothing.
        """
        with self._lock:
            ended = self._senders.pop(sender, None)
            if ended is None:
                return False
            for key, count in ended.sent.items():
                if key in self._pending:
                    self._pending[key].released = released and count > 1
            return True

    def note(
        self,
        sender: Hashable,
        key: SeriesKey,
        *,
        assoc_id: str,
        calling_ae_title: str,
        changed: bool,
        now: float,
    ) -> str | None:
        """An instance is durable. ``changed``: the spool did not have it like this before.

        Only a change makes a series pending; but while it is, a repetition shows life too.
        Returns the correlation ID of the series where this association joins it: the ID of
        the association that began it.
        """
        with self._lock:
            if sender in self._senders:
                self._senders[sender].current = key
                self._senders[sender].sent[key] += 1
            if changed and key not in self._pending:
                self._pending[key] = _Pending(
                    now, calling_ae_title=calling_ae_title, correlation_id=assoc_id
                )
            if key not in self._pending:
                return None
            pending = self._pending[key]
            pending.last_arrival = now
            pending.instances += 1
            pending.released = False
            if assoc_id in pending.assoc_ids:
                return None
            pending.assoc_ids.add(assoc_id)
            return pending.correlation_id

    def note_found(self, key: SeriesKey, *, last_arrival: float) -> bool:
        """The scan has found a folder that the record lacks; False when it is pending."""
        with self._lock:
            if key in self._pending:
                return False
            self._pending[key] = _Pending(last_arrival, found_by_scan=True)
            return True

    def open_associations(self) -> int:
        """How many associations are open."""
        with self._lock:
            return len(self._senders)

    def senders(self) -> list[Hashable]:
        """The open associations, to find those that died without a word."""
        with self._lock:
            return list(self._senders)

    def is_pending(self, key: SeriesKey) -> bool:
        """Whether a series is arriving, as far as is known here."""
        with self._lock:
            return key in self._pending

    def pending(self) -> int:
        """How many series are not registered yet."""
        with self._lock:
            return len(self._pending)

    def newly_opened(self) -> list[tuple[SeriesKey, str | None, str | None]]:
        """Series that became pending since the last call, with the calling AE title and the
        correlation ID."""
        with self._lock:
            new = [(key, one) for key, one in self._pending.items() if not one.opened]
            for _, one in new:
                one.opened = True
            return [(key, one.calling_ae_title, one.correlation_id) for key, one in new]

    def complete(self, *, now: float, quiet_seconds: float) -> list["Complete"]:
        """The series that are complete by now."""
        with self._lock:
            sending = Counter(one.current for one in self._senders.values())
            found = []
            for key, one in self._pending.items():
                if now < one.not_before:
                    continue
                evidence = Evidence(
                    last_arrival=one.last_arrival,
                    sending=sending[key],
                    released=one.released,
                    found_by_scan=one.found_by_scan,
                    census=one.census,
                )
                if how := judge(evidence, now=now, quiet_seconds=quiet_seconds):
                    expected = None if one.census is None else one.census.expected
                    found.append(
                        Complete(key, how, one.instances, expected, one.correlation_id)
                    )
            return found

    def next_question(self, *, now: float, quiet_seconds: float) -> "Question | None":
        """The pending series whose count a PACS should be asked for now, the longest due first.

        It is not handed out again before ``answer``.
        """
        with self._lock:
            due = [
                (at, key)
                for key, one in self._pending.items()
                if not one.asking and (at := _ask_at(one, quiet_seconds)) <= now
            ]
            if not due:
                return None
            key = min(due)[1]
            one = self._pending[key]
            one.asking = True
            fetch_from = fetch_at(
                last_arrival=one.last_arrival,
                sending=any(sender.current == key for sender in self._senders.values()),
                released=one.released,
                quiet_seconds=quiet_seconds,
            )
            may_fetch = one.census is None or one.census.fetches < MAX_FETCHES
            may_fetch = may_fetch and now >= fetch_from
            return Question(key, now, may_fetch, one.correlation_id)

    def answer(
        self, question: "Question", expected: int | None, held: int, *, fetching: bool = False
    ) -> None:
        """What the PACS counts (None: it gave no answer), and what the spool holds.

        ``fetching`` : what is missing is fetched now, until ``fetch_ended``.
        """
        with self._lock:
            one = self._pending.get(question.key)
            if one is None:
                return
            one.asking = fetching
            if expected is not None:
                one.census = next_census(
                    one.census,
                    expected,
                    held,
                    asked_at=question.asked_at,
                    last_arrival=one.last_arrival,
                )

    def fetch_ended(self, question: "Question") -> None:
        """By success or otherwise: instances that came are noted as all others are."""
        with self._lock:
            one = self._pending.get(question.key)
            if one is None:
                return
            one.asking = False
            if one.census is not None:
                one.census = replace(one.census, fetches=one.census.fetches + 1)

    def registered(self, done: "Complete") -> None:
        """Forget a series, unless more of it has arrived since it was judged complete."""
        with self._lock:
            pending = self._pending.get(done.key)
            if pending is not None and pending.instances == done.instances:
                del self._pending[done.key]

    def postpone(self, key: SeriesKey, *, until: float) -> None:
        """Do not report a series as complete before ``until``."""
        with self._lock:
            if key in self._pending:
                self._pending[key].not_before = until


@dataclass(frozen=True, slots=True)
class Complete:
    """A series judged complete, by which evidence, after how many instances."""

    key: SeriesKey
    completed_by: CompletedBy
    instances: int
    expected: int | None = None
    """What a PACS counts in it, if one was asked and answered."""
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A series whose count is wanted. ``may_fetch`` : what is missing is wanted, too."""

    key: SeriesKey
    asked_at: float
    may_fetch: bool
    correlation_id: str | None = None


def _ask_at(one: _Pending, quiet_seconds: float) -> float:
    return ask_at(one.census, last_arrival=one.last_arrival, quiet_seconds=quiet_seconds)
