"""``python -m tests.bench.study_backlog``: cost of a study beside 100 and 100,000 others.

One PostgreSQL has two databases filled with studies of three series each, which have one
result. New studies are registered, completed, leased, read for their ranking, saved, listed and
shown in each of them in turn. Prints medians, then JSON. The headers that a ranking reads are
files of the study itself; their cost does not depend on the record.
"""

import argparse
import secrets
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from db import history, lease_expiry, leases, queue_status
from db.outbox import NewResult
from db.registration import register_revision
from db.runs import StudyLease
from db.states import ResultPer, SeriesState
from db.studies import complete_studies
from db.study_leases import due_studies, lease_study
from db.study_results import SeriesEnd, save_study
from db.study_series import run_series, standing_result
from db.study_worklist import find_studies, list_studies
from db.transition import ChangedBy
from db.worklist import Filters
from deploy.demo.embedded import Postgres
from tests.bench.backlog import ACTOR, FilledDatabase, filled_database, measure, print_report
from tests.support import record

SIZES = (100, 100_000)
SERIES = 3
INSTANCES = 20
QUIET = timedelta(seconds=60)
PAGE = 26

# Each study has a used, a not selected and a rejected series, one of ten studies no report.
FILL = """
INSERT INTO study (study_instance_uid, result_per, state, revision, attempts, reason_code,
    reason_text, completed_at, last_received_at, created_at, changed_at)
SELECT '1.2.' || n, 'study', CASE WHEN n % 10 = 0 THEN 'nothing_to_report' ELSE 'delivered' END,
    1, 1, CASE WHEN n % 10 = 0 THEN 'METAL' END, CASE WHEN n % 10 = 0 THEN 'Metal.' END,
    t, t, t, t
FROM (SELECT n, now() - interval '1 minute' * (:count - n) AS t
      FROM generate_series(1, :count) AS n) AS numbered;
INSERT INTO series (study_id, study_instance_uid, series_instance_uid, state, rank, revision,
    attempts, created_at, changed_at, instance_count, total_bytes, refused_count,
    content_sha256, completed_by, completed_at, spool_mtime_ns, patient_id, accession_number,
    study_date, series_number, manufacturer, manufacturer_model_name)
SELECT id, study_instance_uid, study_instance_uid || '.' || k,
    CASE WHEN k = 3 OR id % 10 = 0 THEN 'rejected' WHEN k = 2 THEN 'not_selected'
    ELSE 'delivered' END, CASE WHEN k < 3 THEN k END, 1, 1, created_at, created_at, 1, 524288,
    0, md5(id::text || k), 'released', created_at, id, 'P' || id / 2, 'A' || id,
    created_at::date, k, 'Siemens', 'Model ' || id % 4
FROM study, generate_series(1, 3) AS k;
INSERT INTO instance (series_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, sha256,
    bytes, revision, received_at)
SELECT id, '1.4.' || id, '1.2.840.10008.5.1.4.1.1.2', '1.2.840.10008.1.2.1', md5(id::text),
    524288, 1, completed_at
FROM series;
INSERT INTO screening (series_id, study_id, revision, attempt, leased_by, lease_until,
    started_at, finished_at, outcome, orientation, grade, model_name, model_version, warnings,
    timings_ms, result, folder)
SELECT series.id, study.id, 1, 1, 'w', series.completed_at, series.completed_at,
    series.completed_at, CASE WHEN study.id % 10 = 0 THEN 'rejected' ELSE 'screened' END,
    'coronal', CASE WHEN study.id % 10 = 0 THEN NULL ELSE 'normal' END, 'compact', '1', '[]',
    '{}', jsonb_build_object('filling', repeat('x', 1500)), 'results/' || study.id
FROM study JOIN series ON series.study_id = study.id AND series.series_number = 1;
INSERT INTO hip (screening_id, side, series_id, state, grade)
SELECT id, side, series_id, 'graded', 'normal'
FROM screening, (VALUES ('R'), ('L')) AS sides (side) WHERE outcome = 'screened';
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
SELECT completed_at, id, 1, 'bench', 'moved', 'queued', 'screening', '{}' FROM series;
INSERT INTO study_event (at, study_id, revision, actor, what, before, after, detail)
SELECT created_at, id, 1, 'bench', 'moved', 'collecting', 'screening', '{}'
FROM study, generate_series(1, 3);
"""


class StudyCase:
    """One new study in one database. Each step is a method; the caller measures it."""

    STEPS: tuple[str, ...] = (
        "register", "complete", "lease", "sweep", "ranking", "save", "worklist", "filter",
        "search", "status", "show",
    )  # fmt: skip

    def __init__(self, database: FilledDatabase) -> None:
        self._sessions = database.sessions
        self._uid = f"2.25.{secrets.randbits(120)}"
        self._now = datetime.now(UTC)
        self._study_id = 0
        self._lease: StudyLease | None = None
        self._ends: list[SeriesEnd] = []

    def register(self) -> None:
        facts = replace(record.completed().facts, patient_id="P3", accession_number="A3")
        for number in range(SERIES):
            uid = f"{self._uid}.{number}"
            instances = tuple(
                replace(
                    record.instance(n), sop_instance_uid=f"{uid}.{n}", received_at=self._now
                )
                for n in range(INSTANCES)
            )
            uids = {"study_instance_uid": self._uid, "series_instance_uid": uid}
            series = record.completed(*instances, facts=facts, **uids)
            with self._sessions.begin() as session:
                register_revision(
                    session, series, now=self._now, actor=ACTOR, result_per=ResultPer.STUDY
                )

    def complete(self) -> None:
        self._now += QUIET
        with self._sessions.begin() as session:
            (study,) = complete_studies(
                session,
                quiet_seconds=QUIET.total_seconds(),
                counted_quiet_seconds=QUIET.total_seconds(),
                pending=(),
                sending=(),
                by=ChangedBy(ACTOR, self._now),
            )
        self._study_id = study.id

    def lease(self) -> None:
        with self._sessions.begin() as session:
            self._lease = lease_study(
                session, self._study_id, leased_by=ACTOR, now=self._now, lease_seconds=60
            )
        assert self._lease is not None

    def sweep(self) -> None:
        with self._sessions.begin() as session:
            assert leases.active_leases(session)
            lease_expiry.expire_leases(session, {}, now=self._now, max_attempts=3)
        with self._sessions.begin() as session:
            due_studies(session, now=self._now, limit=100)
            queue_status.oldest_waiting(session)

    def ranking(self) -> None:
        """Read what a run ranks: the series of the study and its result."""
        with self._sessions.begin() as session:
            series = run_series(session, self._study_id)
            assert standing_result(session, self._study_id) is None
        used, *others = series
        self._ends = [SeriesEnd(used, SeriesState.SCREENED, 1, is_used=True)]
        self._ends += [
            SeriesEnd(one, SeriesState.NOT_SELECTED, place, "NOT_SELECTED", "Series 1.")
            for place, one in enumerate(others, 2)
        ]

    def save(self) -> None:
        assert self._lease is not None
        used = self._ends[0].series
        with self._sessions.begin() as session:
            history.previous_results(session, used.series_id, limit=5)
            history.study_predecessor(session, self._study_id)
        hips = [replace(hip, series_id=used.series_id) for hip in record.HIPS]
        with self._sessions.begin() as session:
            save_study(
                session,
                self._lease,
                self._ends,
                used,
                NewResult(
                    record.screening(),
                    hips,
                    record.objects(self._lease.screening_id),
                    (),
                    folder=f"results/{self._uid}/r1",
                ),
                now=self._now,
            )

    def worklist(self) -> None:
        with self._sessions.begin() as session:
            assert len(list_studies(session, Filters(), limit=PAGE)) == PAGE
            assert list_studies(session, Filters(), limit=PAGE, before=PAGE)

    def filter(self) -> None:
        with self._sessions.begin() as session:
            assert list_studies(session, Filters(), state=SeriesState.NOT_SELECTED, limit=PAGE)
            list_studies(session, Filters(), state=SeriesState.FAILED, limit=PAGE)

    def search(self) -> None:
        with self._sessions.begin() as session:
            assert find_studies(session, self._uid)
            assert find_studies(session, "A7")

    def status(self) -> None:
        with self._sessions.begin() as session:
            queue_status.queue_status(session, now=self._now, limit=10)

    def show(self) -> None:
        with self._sessions.begin() as session:
            assert history.study_history(session, self._uid) is not None


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
            stack.enter_context(filled_database(postgres, size, folder, FILL))
            for size in arguments.sizes
        ]
        results = measure(databases, arguments.rounds, StudyCase)
    print_report(results, arguments.sizes, arguments.rounds)


if __name__ == "__main__":
    main()
