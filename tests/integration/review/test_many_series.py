"""Covered: with 100,000 studies, every page of the worklist costs as much as the first."""

import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session, sessionmaker

from db import worklist
from db.models import Series
from db.session import make_engine, make_sessions
from db.states import SeriesState, StudyState
from db.study_worklist import AnyState, find_studies, list_studies
from db.worklist import Filters, Position
from deploy.demo.embedded import Postgres
from tests.support.databases import fresh_database

pytestmark = [pytest.mark.servers, pytest.mark.slow]

COUNT = 100_000
SECONDS = 15.0
"""Far above the time needed (0.4 s), for busy machines; the query plans are the real test."""

FILL = """
INSERT INTO study (study_instance_uid, result_per, revision, attempts, created_at, changed_at)
SELECT '1.2.' || n, 'series', 0, 0, timestamptz '2026-01-01' + n * interval '4 minutes', now()
FROM generate_series(1, {count}) n;
INSERT INTO series (study_id, study_instance_uid, series_instance_uid, state, revision,
    attempts, created_at, changed_at, instance_count, total_bytes, refused_count, patient_id,
    accession_number, manufacturer, manufacturer_model_name, reason_code)
SELECT study.id, study_instance_uid, study_instance_uid || '.1',
    CASE WHEN n % 10 = 0 THEN 'rejected' WHEN n % 1000 = 1 THEN 'failed' ELSE 'delivered' END,
    1, 1, timestamptz '2026-01-01' + n * interval '4 minutes', now(), 100, 1, 0, 'P' || n / 2,
    'A' || n, (ARRAY['GE', 'Philips', 'Siemens'])[1 + n % 3], 'Model ' || n % 4,
    CASE WHEN n % 10 = 0 THEN 'METAL' END
FROM generate_series(1, {count}) n JOIN study ON study_instance_uid = '1.2.' || n;
INSERT INTO screening (series_id, revision, attempt, leased_by, lease_until, started_at,
    finished_at, outcome, grade, result)
SELECT id, 1, 1, 'w', now(), created_at, created_at,
    CASE state WHEN 'rejected' THEN 'rejected' ELSE 'screened' END,
    CASE WHEN state = 'rejected' THEN NULL WHEN id % 50000 = 3 THEN 'osteoporosis'
    ELSE 'normal' END, jsonb_build_object('filling', repeat('x', 500))
FROM series WHERE state <> 'failed';
INSERT INTO hip (screening_id, side, state, grade, probability_normal, neck_hu)
SELECT id, side, 'graded', grade, 0.9, 100 FROM screening, unnest(ARRAY['R', 'L']) side
WHERE grade IS NOT NULL;
"""


@pytest.fixture(scope="module")
def sessions(postgres: Postgres, migrated_template: str) -> Iterator[sessionmaker[Session]]:
    with fresh_database(postgres, migrated_template) as url:
        engine = make_engine(url, application_name="tests")
        with engine.begin() as connection:
            connection.execute(text(FILL.format(count=COUNT)))
        with engine.connect() as connection:
            connection.execute(text("ANALYZE"))
            connection.commit()
        yield make_sessions(engine)
        engine.dispose()


def timed(
    sessions: sessionmaker[Session], query: Callable[[Session], Any]
) -> tuple[Any, float]:
    with sessions.begin() as session:
        start = time.perf_counter()
        answer = query(session)
        return answer, time.perf_counter() - start


def query_plans(sessions: sessionmaker[Session], query: Callable[[Session], Any]) -> str:
    """Return PostgreSQL's plan for each SELECT of ``query``."""
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            cursor.execute(f"EXPLAIN {statement}", values)
            plans.extend(row[0] for row in cursor.fetchall())

    with sessions.begin() as session:
        engine = session.get_bind()
        event.listen(engine, "before_cursor_execute", explain)
        try:
            query(session)
        finally:
            event.remove(engine, "before_cursor_execute", explain)
    return "\n".join(plans)


def series_page(after: Position | None = None) -> Callable[[Session], Any]:
    return lambda session: worklist.list_series(session, Filters(), limit=26, after=after)


def page(
    filters: Filters, state: AnyState | None = None, before: int | None = None
) -> Callable[[Session], Any]:
    return lambda session: list_studies(session, filters, state=state, limit=26, before=before)


def test_every_page_is_as_quick_as_the_first(sessions: sessionmaker[Session]) -> None:
    first, first_seconds = timed(sessions, page(Filters()))
    last, last_seconds = timed(sessions, page(Filters(), before=30))

    assert [one.study.id for one in first] == list(range(COUNT, COUNT - 26, -1))
    assert [one.study.id for one in last] == list(range(29, 3, -1))
    assert {len(one.series) for one in first} == {1}
    assert max(first_seconds, last_seconds) < SECONDS
    for before in (None, 30):
        plan = query_plans(sessions, page(Filters(), before=before))
        assert "pk_study" in plan
        assert "Seq Scan" not in plan
        assert "Sort Key: study" not in plan


def test_every_page_of_the_export_is_as_quick(
    sessions: sessionmaker[Session],
) -> None:
    first, first_seconds = timed(sessions, series_page())
    with sessions() as session:
        oldest = session.query(Series).order_by(Series.created_at).offset(30).limit(1).one()
    after = Position(oldest.created_at, oldest.id)
    last, last_seconds = timed(sessions, series_page(after))

    assert [one.series.id for one in first] == list(range(COUNT, COUNT - 26, -1))
    assert [one.series.id for one in last] == list(range(30, 4, -1))
    assert max(first_seconds, last_seconds) < SECONDS
    for position in (None, after):
        plan = query_plans(sessions, series_page(position))
        assert "ix_series_created_at" in plan
        assert "Seq Scan" not in plan
        assert "Sort Key: series" not in plan


@pytest.mark.parametrize(
    ("filters", "state", "count"),
    [
        (Filters(), StudyState.FAILED, 26),
        (Filters(), SeriesState.REJECTED, 26),
        (Filters(), StudyState.COLLECTING, 0),
        (Filters(grade="osteoporosis"), None, 2),
        (Filters(grade="osteopenia"), None, 0),
        (Filters(reason="METAL", manufacturer="GE", scanner_model="Model 2"), None, 26),
        (Filters(manufacturer="Canon"), None, 0),
        (Filters(since=date(2026, 1, 3), until=date(2026, 1, 3)), None, 26),
    ],
)
def test_filters_that_match_few_or_no_studies_are_quick(
    filters: Filters, state: AnyState | None, count: int, sessions: sessionmaker[Session]
) -> None:
    found, seconds = timed(sessions, page(filters, state))

    print(f"{filters} {state}: {seconds:.3f} s")
    assert len(found) == count
    assert seconds < SECONDS


@pytest.mark.parametrize("identifier", ["1.2.77", "1.2.77.1", "A77", "P38", "unknown"])
def test_an_identifier_is_found_by_indexes(
    identifier: str, sessions: sessionmaker[Session]
) -> None:
    def find(session: Session) -> Any:
        return find_studies(session, identifier)

    found, seconds = timed(sessions, find)

    assert (77 in [one.study.id for one in found]) is (identifier != "unknown")
    assert seconds < SECONDS
    assert "Seq Scan on series" not in query_plans(sessions, find)


def test_scanners_are_listed_without_reading_all_series(
    sessions: sessionmaker[Session],
) -> None:
    found, seconds = timed(sessions, worklist.list_scanners)

    assert len(found) == 12
    assert found == sorted(found)
    assert seconds < SECONDS
    plan = query_plans(sessions, worklist.list_scanners)
    assert "ix_series_scanner" in plan
    assert "Seq Scan" not in plan
