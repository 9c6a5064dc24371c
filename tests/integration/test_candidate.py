"""Covered: a candidate model beside the live one, on the real worker.

Its predictions are recorded and not delivered; ``promote`` and ``rollback`` while the worker
runs; a candidate that cannot be loaded.
"""

from pathlib import Path

import keras
import pytest
from sqlalchemy import Engine

from db.candidates import CandidateModel
from db.session import make_engine, make_sessions
from db.states import SeriesState
from tests.support.history import Record
from tests.support.model_factory import DESCRIPTION
from tests.support.series import copy_series, uid_of
from tests.support.servers import storescu, wait_for
from tests.support.services import StartProcess
from tests.support.worker_cli import run_celery_worker, run_worker
from worker.models import candidate
from worker.pipeline.model import package
from worker.pipeline.model.networks import build
from worker.pipeline.model.package import Description

pytestmark = [pytest.mark.servers, pytest.mark.slow]

Settings = dict[str, object]


@pytest.fixture(scope="module")
def candidate_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model package from another seed."""
    folder = tmp_path_factory.mktemp("candidate")
    keras.utils.set_random_seed(8)
    described = {name: getattr(DESCRIPTION, name) for name in DESCRIPTION.__dataclass_fields__}
    package.save(
        folder, build("compact"), Description(**{**described, "name": "other", "version": "9"})
    )
    return folder


def screened_by(record: Record, paths: tuple[Path, ...], settings: Settings) -> str:
    """Send a series; return the name of the model that graded it."""
    assert storescu(paths, int(str(settings["PORT"]))).returncode == 0
    history = record.wait_until(uid_of(paths))
    assert history.series.state is SeriesState.DELIVERED, history.series.error
    return str(history.screenings[-1].model_name)


@pytest.mark.covers("R17")
def test_a_candidate_predicts_is_promoted_and_rolled_back(
    child_settings: Settings,
    model_dir: Path,
    candidate_dir: Path,
    coronal_series: tuple[Path, ...],
    start_storescp: StartProcess,
    start_celery: StartProcess,
    tmp_path: Path,
) -> None:
    settings = {
        **child_settings, "MODEL_DIR": model_dir, "SHADOW_MODEL_DIR": candidate_dir
    }  # fmt: skip
    series = [copy_series(coronal_series, tmp_path / str(number)) for number in range(3)]
    start_storescp(settings)
    start_celery(settings)
    nothing = run_worker("rollback", cwd=tmp_path, settings=settings)
    with Record(str(settings["DATABASE_URL"])) as record:
        first = screened_by(record, series[0], settings)
        shown = run_worker("shadow", cwd=tmp_path, settings=settings)
        promoted = run_worker("promote", cwd=tmp_path, settings=settings)
        second = screened_by(record, series[1], settings)
        back = run_worker("rollback", cwd=tmp_path, settings=settings)
        third = screened_by(record, series[2], settings)
    engine = make_engine(str(settings["DATABASE_URL"]), application_name="tests")
    # Predictions are saved after the live result, beside its delivery.
    # Two hips of three series; in the second the candidate was the live model.
    compared = wait_for(lambda: compare(engine, hips=6), "six predictions of the candidate")
    engine.dispose()

    assert (nothing.returncode, "nothing to roll back" in nothing.stderr) == (1, True)
    assert (shown.returncode, "other 9 beside the live model" in shown.stdout) == (0, True)
    assert promoted.stdout.startswith("other 9 is live"), promoted.stderr
    assert "MODEL_DIR is live again" in back.stdout, back.stderr
    assert [first, second, third] == ["untrained", "other", "untrained"]
    assert compared.model_name == "other"


def compare(engine: Engine, *, hips: int) -> CandidateModel | None:
    """Return the compared candidate once it has predicted so many hips."""
    with make_sessions(engine)() as session:
        found = candidate.compare(session)
    return found[0] if found is not None and found[1].hips == hips else None


def test_a_worker_with_a_candidate_that_cannot_be_loaded_does_not_start(
    child_settings: Settings, model_dir: Path, tmp_path: Path
) -> None:
    settings = {**child_settings, "MODEL_DIR": model_dir, "SHADOW_MODEL_DIR": tmp_path}

    started = run_celery_worker(cwd=tmp_path, settings=settings)
    promoted = run_worker("promote", cwd=tmp_path, settings=settings)

    assert (started.returncode, promoted.returncode) == (2, 2)
    assert "no model package" in started.stderr
    assert "no model package" in promoted.stderr
