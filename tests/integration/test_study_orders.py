"""Covered: a study of six series gives the same bytes in whatever order its images arrive.

The images are sent in random order over 1 to 8 associations, one series after all others have
been registered and before the quiet period of the study has ended. The time that passes is
written into the record instead of waited for. ``STUDY_ORDERS=10`` in the environment tries
more orders than three.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from db.states import SeriesState, StudyState
from deploy.demo.embedded import Postgres, Valkey, free_port
from tests.support.databases import fresh_database
from tests.support.history import Record
from tests.support.quick_series import make_quick_series
from tests.support.servers import storescu, wait_for
from tests.support.services import run_storescp
from tests.support.study_series import SIX_SERIES, WrittenStudy, write_study
from worker.context import WorkerContext
from worker.screening.screen_study import screen_study

pytestmark = [pytest.mark.servers, pytest.mark.slow]

ORDERS = int(os.environ.get("STUDY_ORDERS", "3"))
QUIET_SECONDS = 3600
SECONDS = 300.0


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    folder = tmp_path_factory.mktemp("orders")
    return write_study(make_quick_series(folder), folder / "study", SIX_SERIES)


@pytest.fixture
def shared(context: WorkerContext, model_dir: Path) -> WorkerContext:
    """A context whose model the contexts of all orders use."""
    settings = context.settings.model_copy(update={"model_dir": model_dir})
    return replace(context, settings=settings)


def result_in_order(
    seed: int,
    study: WrittenStudy,
    shared: WorkerContext,
    folder: Path,
    database_url: str,
) -> dict[str, object]:
    """Send the study to services of its own; return its selected series and its files."""
    rng = np.random.default_rng(seed)
    late = str(rng.choice(list(study.files)))
    first = [path for name, paths in study.files.items() if name != late for path in paths]
    first = [first[place] for place in rng.permutation(len(first))]
    associations = int(rng.integers(1, 9))
    settings: dict[str, object] = {
        "RESULT_PER": "study",
        "QUIET_SECONDS": 1,
        "STUDY_QUIET_SECONDS": QUIET_SECONDS,
        "MIN_FREE_MB": 1,
        "BROKER_URL": shared.settings.broker_url,
        "DATABASE_URL": database_url,
        "SPOOL_DIR": folder / "spool",
        "HOST": "127.0.0.1",
        "PORT": free_port(),
    }
    with ExitStack() as stack:
        record = stack.enter_context(Record(database_url))
        run_storescp(stack, settings, folder)
        port = int(str(settings["PORT"]))
        parts = [first[start::associations] for start in range(associations)]
        with ThreadPoolExecutor(associations) as pool:
            sent = [*pool.map(lambda paths: storescu(paths, port), parts)]
        _wait_until_queued(record, study, len(SIX_SERIES) - 1)
        sent.append(storescu(study.files[late], port))
        assert [one.returncode for one in sent] == [0] * len(sent), sent
        _wait_until_queued(record, study, len(SIX_SERIES))
        changed = {"database_url": database_url, "spool_dir": folder / "spool"}
        context = replace(shared, settings=shared.settings.model_copy(update=changed))
        stack.callback(context.engine.dispose)
        study_id = _let_the_quiet_period_pass(context, record, study)
    screen_study(context, study_id)
    with Record(database_url) as record:
        history = record.find_study(study.uid)
    assert history is not None
    results = sorted((folder / "spool/results").rglob("*.dcm"))
    return {
        "state": history.study.state,
        "series": {one.series_instance_uid: (one.state, one.rank) for one in history.series},
        "files": {path.name: sha256(path.read_bytes()).hexdigest() for path in results},
    }


def _wait_until_queued(record: Record, study: WrittenStudy, count: int) -> None:
    def queued() -> bool:
        history = record.find_study(study.uid)
        states = [one.state for one in history.series] if history else []
        if states.count(SeriesState.QUEUED) != count:
            return False
        assert history is not None
        assert history.study.state is StudyState.COLLECTING
        return True

    wait_for(queued, f"{count} series to be queued", SECONDS)


def _let_the_quiet_period_pass(
    context: WorkerContext, record: Record, study: WrittenStudy
) -> int:
    """Make the study due; its series get one time of completion, which SR and SC contain."""
    with context.sessions.begin() as session:
        session.execute(text("UPDATE series SET completed_at = '2026-11-30T09:00:00Z'"))
        session.execute(
            text("UPDATE study SET last_received_at = last_received_at - interval '2 hours'")
        )

    def due() -> int | None:
        history = record.find_study(study.uid)
        is_due = history is not None and history.study.state is StudyState.SCREENING
        return history.study.id if history is not None and is_due else None

    found = wait_for(due, "the study to be due", SECONDS)
    assert found is not None
    return found


def test_every_order_gives_the_same_series_and_the_same_bytes(
    study: WrittenStudy,
    shared: WorkerContext,
    postgres: Postgres,
    migrated_template: str,
    redis_server: Valkey,
    tmp_path: Path,
) -> None:
    results = []
    for seed in range(ORDERS):
        folder = tmp_path / f"order{seed}"
        folder.mkdir()
        with fresh_database(postgres, migrated_template) as url:
            results.append(result_in_order(seed, study, shared, folder, url))

    first = results[0]
    assert first["state"] is StudyState.DELIVERED  # there is no destination
    assert isinstance(first["files"], dict)
    assert set(first["files"]) == {"sr.dcm", "sc.dcm", "overlay.sc.dcm"}
    assert isinstance(first["series"], dict)
    assert first["series"][study.uid_of("soft")] == (SeriesState.DELIVERED, 1)
    assert first["series"][study.uid_of("localizer")] == (SeriesState.REJECTED, None)
    assert all(one == first for one in results[1:])
