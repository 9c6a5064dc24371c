"""Series with instances in the spool that are not registered yet.

Lost at a crash without harm: the scan finds them in the spool.
"""

import threading
from collections import Counter
from dataclasses import dataclass, field, replace

from common.spool.layout import SeriesKey
from db.completed_series import CompletedBy
from storescp.registration.arrival import Arrival
from storescp.registration.completion import Evidence, completed_by
from storescp.registration.instance_count import (
    MAX_FETCHES,
    InstanceCount,
    fetch_at,
    next_count,
    query_at,
)
from storescp.registration.refused_instances import RefusedInstances


@dataclass(slots=True)
class _Pending:
    last_arrival: float
    instances: int = 0
    calling_ae_title: str | None = None
    correlation_id: str | None = None
    assoc_ids: set[str] = field(default_factory=set)
    found_by_scan: bool = False
    released: bool = False
    broken_off: bool = False
    opened: bool = False
    not_before: float = 0.0
    instance_count: InstanceCount | None = None
    querying: bool = False


@dataclass(frozen=True, slots=True)
class CompleteSeries:
    """A complete series: the evidence, and its number of instances when it was found complete.

    ``expected`` : the instance count of the source PACS, if it answered. ``refused`` : number
    of instances that were refused or broken off at reception and not stored since.
    """

    key: SeriesKey
    completed_by: CompletedBy
    instances: int
    expected: int | None = None
    correlation_id: str | None = None
    refused: int = 0


@dataclass(frozen=True, slots=True)
class CountQuery:
    """A series to count at the source PACS. ``may_fetch`` : fetch what is missing."""

    key: SeriesKey
    asked_at: float
    may_fetch: bool
    correlation_id: str | None = None


class PendingSeries:
    """Thread-safe. Times are seconds of one monotonic clock that the callers read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[SeriesKey, _Pending] = {}
        # Open associations by the series of their newest instance.
        self._sending: Counter[SeriesKey] = Counter()
        self._refused = RefusedInstances()
        self._has_held = False

    def __len__(self) -> int:
        with self._lock:
            return len(self._pending)

    def __contains__(self, key: SeriesKey) -> bool:
        with self._lock:
            return key in self._pending

    def studies(self) -> set[str]:
        """Return the studies of the pending series."""
        with self._lock:
            return {key.study_instance_uid for key in self._pending}

    def sender_changed(self, before: SeriesKey | None, after: SeriesKey | None) -> None:
        """Record that an association went on to another series, or ended (``after`` None)."""
        with self._lock:
            if before is not None:
                self._sending[before] -= 1
                if not self._sending[before]:
                    del self._sending[before]
            if after is not None:
                self._sending[after] += 1

    def sender_ended(self, key: SeriesKey, *, released: bool, broken_off: bool) -> None:
        """Record the end of an association that has sent instances of this series.

        ``released`` : in order, after more than one. ``broken_off`` : while it sent them.
        """
        with self._lock:
            if key in self._pending:
                self._pending[key].released = released
                self._pending[key].broken_off = broken_off

    def instance_refused(self, key: SeriesKey, sop_instance_uid: str, *, now: float) -> None:
        """Record an instance that was refused or broken off, until it is stored."""
        with self._lock:
            self._refused.add(key, sop_instance_uid)
            if key in self._pending:
                self._pending[key].last_arrival = now
                self._pending[key].released = False

    def instance_stored(self, arrival: Arrival) -> str | None:
        """Record a durable instance.

        Only a change makes a series pending. While it is pending, a repeated instance extends
        the wait. Returns the correlation ID of the series (the ID of the association that
        began it) where this association joins it, else None.
        """
        with self._lock:
            key = arrival.key
            self._has_held |= arrival.held
            self._refused.discard(key, arrival.sop_instance_uid)
            if arrival.changed and key not in self._pending:
                self._pending[key] = _Pending(
                    arrival.at,
                    calling_ae_title=arrival.calling_ae_title,
                    correlation_id=arrival.assoc_id,
                )
            if key not in self._pending:
                return None
            pending = self._pending[key]
            pending.last_arrival = arrival.at
            pending.instances += 1
            pending.released = False
            if arrival.assoc_id in pending.assoc_ids:
                return None
            pending.assoc_ids.add(arrival.assoc_id)
            return pending.correlation_id

    def take_held(self) -> bool:
        """Return whether changed content was held since the last call."""
        with self._lock:
            has_held, self._has_held = self._has_held, False
            return has_held

    def found_by_scan(self, key: SeriesKey, *, last_arrival: float) -> bool:
        """Add a series that the scan found in the spool; False: it is pending already."""
        with self._lock:
            if key in self._pending:
                return False
            self._pending[key] = _Pending(last_arrival, found_by_scan=True)
            return True

    def newly_opened(self) -> list[tuple[SeriesKey, str | None, str | None]]:
        """Return each series that became pending since the last call, with its calling AE
        title and correlation ID."""
        with self._lock:
            new = [(key, one) for key, one in self._pending.items() if not one.opened]
            for _, one in new:
                one.opened = True
            return [(key, one.calling_ae_title, one.correlation_id) for key, one in new]

    def complete(self, *, now: float, quiet_seconds: float) -> list[CompleteSeries]:
        """Return the series that are complete at ``now``; they stay pending."""
        with self._lock:
            found = []
            for key, one in self._pending.items():
                if now < one.not_before:
                    continue
                evidence = Evidence(
                    last_arrival=one.last_arrival,
                    sending=self._sending[key],
                    released=one.released,
                    found_by_scan=one.found_by_scan,
                    instance_count=one.instance_count,
                    refused=self._refused.count(key),
                    broken_off=one.broken_off,
                )
                if how := completed_by(evidence, now=now, quiet_seconds=quiet_seconds):
                    expected = (
                        None if one.instance_count is None else one.instance_count.expected
                    )
                    # Where the PACS has no more either, what was refused is not missing.
                    refused = 0 if how == "count" else evidence.refused
                    found.append(
                        CompleteSeries(
                            key, how, one.instances, expected, one.correlation_id, refused
                        )
                    )
            return found

    def registered(self, series: CompleteSeries) -> None:
        """Remove a series, unless more instances arrived after ``complete`` returned it."""
        with self._lock:
            pending = self._pending.get(series.key)
            if pending is not None and pending.instances == series.instances:
                del self._pending[series.key]

    def postpone(self, key: SeriesKey, *, until: float) -> None:
        """Do not report a series as complete before ``until``."""
        with self._lock:
            if key in self._pending:
                self._pending[key].not_before = until

    def next_query(self, *, now: float, quiet_seconds: float) -> CountQuery | None:
        """Return the query that is longest due, or None.

        Its series is not returned again before ``record_count``.
        """
        with self._lock:
            due = [
                (at, key)
                for key, one in self._pending.items()
                if not one.querying and (at := _query_at(one, quiet_seconds)) <= now
            ]
            if not due:
                return None
            key = min(due)[1]
            one = self._pending[key]
            one.querying = True
            fetch_from = fetch_at(
                last_arrival=one.last_arrival,
                sending=self._sending[key] > 0,
                released=one.released,
                quiet_seconds=quiet_seconds,
            )
            may_fetch = one.instance_count is None or one.instance_count.fetches < MAX_FETCHES
            may_fetch = may_fetch and now >= fetch_from
            return CountQuery(key, now, may_fetch, one.correlation_id)

    def record_count(
        self, query: CountQuery, expected: int | None, held: int, *, fetching: bool = False
    ) -> None:
        """Record the instance count of the PACS (None: no answer) and of the spool.

        ``fetching`` : missing instances are being fetched, until ``fetch_ended``.
        """
        with self._lock:
            one = self._pending.get(query.key)
            if one is None:
                return
            one.querying = fetching
            if expected is not None:
                one.instance_count = next_count(
                    one.instance_count,
                    expected,
                    held,
                    asked_at=query.asked_at,
                    last_arrival=one.last_arrival,
                )

    def fetch_ended(self, query: CountQuery) -> None:
        """Record the end of a fetch, with or without success."""
        with self._lock:
            one = self._pending.get(query.key)
            if one is None:
                return
            one.querying = False
            if one.instance_count is not None:
                one.instance_count = replace(
                    one.instance_count, fetches=one.instance_count.fetches + 1
                )


def _query_at(one: _Pending, quiet_seconds: float) -> float:
    return query_at(
        one.instance_count, last_arrival=one.last_arrival, quiet_seconds=quiet_seconds
    )
