"""A worker with ``MODEL_DIR=none``: no network is loaded, and TensorFlow is not imported.

Not covered: what such a worker measures (tests/unit/worker/pipeline/test_measurement_only.py).
"""

import subprocess
import sys
from pathlib import Path

import pytest

from common.settings.worker import WorkerSettings
from tests.support.ct_volume import write_ct
from tests.support.spine_phantom import SpinePhantom, build_volume
from worker.cli import models
from worker.cli.exit_codes import SCREENED
from worker.diagnostics.models import check_models

# Nothing listens there: neither a model nor the record is needed.
NO_DATABASE = "postgresql://absent@127.0.0.1:9/none"
LOADS_NOTHING = """
import sys
from common.settings.worker import WorkerSettings
from worker.celery_app import make_app
from worker.context import WorkerContext
from worker.lifecycle import WorkerLifecycle

settings = WorkerSettings(_env_file=None)
make_app(settings)
context = WorkerContext(settings)
WorkerLifecycle(context, None, None)._load_models()
assert context.load_model() is None
assert context.load_candidate() is None
assert context.model_problem() is None

from common.metrics import LIVE_MODEL
from worker.cli.app import app

((sample,),) = ([one for one in metric.samples] for metric in LIVE_MODEL.collect())
assert sample.labels["name"] == "osteoscreen-lumbar", sample
try:
    app(["screen", sys.argv[1], "--out", sys.argv[2]], standalone_mode=False)
except SystemExit as ended:
    code = ended.code
assert not {"tensorflow", "keras"} & set(sys.modules)
raise SystemExit(code)
"""


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # without the developer's .env
    monkeypatch.setenv("OSTEOSCREEN_MODEL_DIR", "none")
    monkeypatch.setenv("OSTEOSCREEN_DATABASE_URL", NO_DATABASE)


def test_worker_and_command_line_screen_without_tensorflow(tmp_path: Path) -> None:
    volume = build_volume(SpinePhantom((4.0, 2.5, 2.5)))
    behind_mm, down_mm, left_mm = volume.spacing_mm
    write_ct(
        tmp_path / "ct",
        volume.hu,
        origin=tuple(volume.affine[:3, 3]),
        step=(0.0, behind_mm, 0.0),
        spacing=(down_mm, left_mm),
    )

    ended = subprocess.run(
        [sys.executable, "-c", LOADS_NOTHING, tmp_path / "ct", tmp_path / "out"],
        capture_output=True,
        text=True,
    )

    assert ended.returncode == SCREENED, ended.stderr
    assert list((tmp_path / "out").glob("*.sr.dcm"))


def test_promote_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        models.promote(tmp_path)

    assert ended.value.code == 2
    assert "OSTEOSCREEN_MODEL_DIR is none" in capsys.readouterr().err


def test_doctor_says_that_no_hip_is_graded() -> None:
    (model,) = check_models(WorkerSettings())

    assert model.ok
    assert model.detail.startswith("none: measurement only")
