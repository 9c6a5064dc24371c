"""``python -m tests.bench.backlog``: cost of a series beside 10, 1,000 and 100,000 others.

One PostgreSQL has three databases filled with delivered and rejected series. New series are
registered, leased, saved, delivered, swept and shown in each of them in turn. Prints medians,
then JSON.
"""

import argparse
import json
import secrets
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from db import deliveries as claims
from db import history, lease_expiry, leases, outbox, queue_status
from db.completed_series import ArrivingSeries, CompletedSeries
from db.leases import Lease
from db.registration import open_series, register_revision
from db.session import make_engine, make_sessions
from deploy.demo.embedded import Postgres
from tests.support import record
from tests.support.databases import upgrade

SIZES = (10, 1_000, 100_000)
INSTANCES = 80
ACTOR = "bench"

# Each series has 5 instances, one screening and 6 events; unless rejected, also two hips, two
# objects and two deliveries. The ids of all rows are computed from the number of the series.
FILL = """
INSERT INTO study (study_instance_uid, result_per, revision, attempts, created_at, changed_at)
SELECT '1.2.' || n, 'series', 0, 0, now(), now() FROM generate_series(1, :count) AS n;
INSERT INTO series (study_id, study_instance_uid, series_instance_uid, state, revision,
    attempts, created_at, changed_at, instance_count, total_bytes, refused_count,
    content_sha256, completed_by, completed_at, spool_mtime_ns, patient_id, study_date)
SELECT study.id, study_instance_uid, '1.3.' || n,
    CASE WHEN n % 10 = 0 THEN 'rejected' ELSE 'delivered' END, 1,
    1, t, t, 5, 2621440, 0, md5(n::text), 'released', t, n, 'P' || n / 2, t::date
FROM (SELECT n, now() - interval '1 minute' * (:count - n) AS t
      FROM generate_series(1, :count) AS n) AS numbered
JOIN study ON study_instance_uid = '1.2.' || n;
INSERT INTO instance (series_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, sha256,
    bytes, revision, received_at)
SELECT id, '1.4.' || id || '.' || k, '1.2.840.10008.5.1.4.1.1.2', '1.2.840.10008.1.2.1',
    md5(id::text || k), 524288, 1, completed_at
FROM series, generate_series(1, 5) AS k;
INSERT INTO screening (series_id, revision, attempt, leased_by, lease_until, started_at,
    finished_at, outcome, orientation, grade, model_name, model_version, warnings, timings_ms,
    result)
SELECT id, 1, 1, 'w', completed_at, completed_at, completed_at,
    CASE WHEN state = 'rejected' THEN 'rejected' ELSE 'screened' END, 'coronal',
    CASE WHEN state = 'rejected' THEN NULL ELSE 'normal' END, 'compact', '1', '[]', '{}',
    jsonb_build_object('series_uid', series_instance_uid, 'hips', repeat('x', 1500))
FROM series;
INSERT INTO hip (screening_id, side, state, grade)
SELECT id, side, 'graded', 'normal' FROM screening, (VALUES ('R'), ('L')) AS sides (side)
WHERE outcome = 'screened';
INSERT INTO result_object (screening_id, role, sop_class_uid, sop_instance_uid,
    series_instance_uid, path)
SELECT id, role, '1.2.840.10008.5.1.4.1.1.88.34', '2.25.' || id || role, '2.25.9' || id || role,
    'results/' || id || '/' || role
FROM screening, (VALUES ('sr'), ('sc'), ('overlay')) AS roles (role) WHERE outcome = 'screened';
INSERT INTO delivery (screening_id, object_id, destination, state, attempts, next_attempt_at,
    sent_at, confirmed_at, last_status)
SELECT screening_id, result_object.id, 'pacs', 'confirmed', 1, finished_at, finished_at,
    finished_at, '0x0000'
FROM result_object JOIN screening ON screening.id = screening_id;
INSERT INTO event (at, series_id, revision, actor, what, before, after, detail)
SELECT completed_at, id, 1, 'bench', 'moved', 'queued', 'screening', '{}'
FROM series, generate_series(1, 6);
"""


@dataclass(frozen=True, slots=True)
class FilledDatabase:
    """A database with ``size`` series."""

    size: int
    sessions: sessionmaker[Session]


@contextmanager
def filled_database(
    postgres: Postgres, size: int, folder: Path, fill: str = FILL
) -> Iterator[FilledDatabase]:
    """Create a database and fill it by SQL statements with the parameter ``count``."""
    name = f"filled_{size}"
    postgres.execute(f"CREATE DATABASE {name}")
    upgrade(postgres.url_of(name), folder)
    engine = make_engine(postgres.url_of(name), application_name=ACTOR)
    with engine.begin() as connection:
        connection.execute(text("SET statement_timeout = 0"))
        for statement in fill.split(";\n"):
            if statement.strip():
                connection.execute(text(statement), {"count": size})
    postgres.execute("VACUUM ANALYZE", name)
    yield FilledDatabase(size, make_sessions(engine))
    engine.dispose()


def new_series() -> CompletedSeries:
    """Return a new complete series of 80 instances of a patient with earlier series."""
    uid = f"2.25.{secrets.randbits(120)}"
    instances = tuple(
        replace(record.instance(n), sop_instance_uid=f"{uid}.{n}") for n in range(INSTANCES)
    )
    facts = replace(record.completed().facts, patient_id="P3")
    return record.completed(
        *instances, study_instance_uid=uid, series_instance_uid=f"{uid}.1", facts=facts
    )


class Case:
    """One new series in one database. Each step is a method; the caller measures it."""

    STEPS: tuple[str, ...] = ("register", "lease", "sweep", "save", "deliver", "status", "show")

    def __init__(self, database: FilledDatabase) -> None:
        self._sessions = database.sessions
        self._series = new_series()
        self._series_id = 0
        self._lease: Lease | None = None

    def register(self) -> None:
        now = datetime.now(UTC)
        arriving = ArrivingSeries(
            self._series.study_instance_uid, self._series.series_instance_uid, "CT"
        )
        with self._sessions.begin() as session:
            open_series(session, arriving, now=now, actor=ACTOR)
        with self._sessions.begin() as session:
            registered = register_revision(session, self._series, now=now, actor=ACTOR)
        self._series_id = registered.series_id

    def lease(self) -> None:
        now = datetime.now(UTC)
        with self._sessions.begin() as session:
            self._lease = leases.lease_series(
                session, self._series_id, leased_by=ACTOR, now=now, lease_seconds=60
            )
        assert self._lease is not None
        with self._sessions.begin() as session:
            assert leases.heartbeat(session, self._lease, now=now, lease_seconds=60)

    def sweep(self) -> None:
        now = datetime.now(UTC)
        with self._sessions.begin() as session:
            active = leases.active_leases(session)
            lease_expiry.expire_leases(session, {}, now=now, max_attempts=3)
            assert active
        with self._sessions.begin() as session:
            leases.due_series(session, now=now, limit=100)
            claims.due_deliveries(session, now=now, limit=100)
            queue_status.oldest_waiting(session)

    def save(self) -> None:
        assert self._lease is not None
        with self._sessions.begin() as session:
            history.previous_results(session, self._series_id, limit=5)
            history.predecessor(session, self._series_id, revision=1)
        with self._sessions.begin() as session:
            outbox.save_screening(
                session,
                self._lease,
                outbox.NewResult(record.screening(), record.HIPS, record.objects(), ("pacs",)),
                now=datetime.now(UTC),
            )

    def deliver(self) -> None:
        assert self._lease is not None
        now = datetime.now(UTC)
        with self._sessions.begin() as session:
            claimed = claims.claim_deliveries(
                session,
                claims.DueDelivery(self._lease.screening_id, "pacs"),
                leased_by=ACTOR,
                now=now,
                lease_seconds=60,
            )
        with self._sessions.begin() as session:
            claims.extend_claims(session, claimed, now=now, lease_seconds=60)
        with self._sessions.begin() as session:
            for claim in claimed:
                assert outbox.mark_sent(session, claim, status="0x0000", now=now)
                assert outbox.mark_confirmed(session, claim, confirmed_by="query", now=now)

    def status(self) -> None:
        with self._sessions.begin() as session:
            queue_status.queue_status(session, now=datetime.now(UTC), limit=10)

    def show(self) -> None:
        with self._sessions.begin() as session:
            shown = history.series_history(session, self._series.series_instance_uid)
        assert shown is not None


class Steps(Protocol):
    """One new series or study in one database, with the names of its steps in their order."""

    STEPS: tuple[str, ...]


def measure(
    databases: Sequence[FilledDatabase],
    rounds: int,
    new_case: Callable[[FilledDatabase], Steps] = Case,
) -> dict[str, dict[int, float]]:
    """Return the median in ms by step and size."""
    spent: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(rounds + 1):
        cases = [(database, new_case(database)) for database in databases]
        for name in cases[0][1].STEPS:
            for database, case in cases:
                start = time.perf_counter()
                getattr(case, name)()
                if number:  # the first round also fills caches
                    spent[name][database.size].append((time.perf_counter() - start) * 1000)
    return {
        name: {size: round(statistics.median(values), 2) for size, values in sizes.items()}
        for name, sizes in spent.items()
    }


def main() -> None:
    """Measure; print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        postgres = stack.enter_context(Postgres())
        databases = [
            stack.enter_context(filled_database(postgres, size, folder))
            for size in arguments.sizes
        ]
        results = measure(databases, arguments.rounds)
    print_report(results, arguments.sizes, arguments.rounds)


def print_report(
    results: Mapping[str, Mapping[int, float]], sizes: Sequence[int], rounds: int
) -> None:
    """Print a table and JSON."""
    print(f"{'ms':10s}" + "".join(f"{size:>12,d}" for size in sizes))
    for name, row in results.items():
        print(f"{name:10s}" + "".join(f"{ms:12.2f}" for ms in row.values()))
    growth = {
        f"growth_{name}": round(row[sizes[-1]] / row[sizes[0]], 2)
        for name, row in results.items()
    }
    report: dict[str, Any] = {"rounds": rounds, "ms": results, **growth}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
