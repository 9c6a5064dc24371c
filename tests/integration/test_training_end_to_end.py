"""All training commands on a small simulated site.

Covered: series and manifest are prepared, a model is fitted, evaluated, packaged and reported;
a second ``prepare`` reads nothing; the worker loads the package.
Not covered: performance of the model.
"""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from training.cli import app
from training.cohort import dataset
from training.evaluate import measures
from training.simulate.acquisition import sample_acquisition
from training.simulate.series import write_series
from training.simulate.subject import sample_subject
from training.simulate.truth import truth
from worker.pipeline.model import package
from worker.pipeline.results import Grade


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.output


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a site of nine patients, three of each grade, and one scan too long after DXA."""
    folder = tmp_path_factory.mktemp("site")
    rows = []
    for number in range(10):
        rng = np.random.default_rng([5, number])
        subject = sample_subject(rng, grade=tuple(Grade)[number % 3])
        acquisition = sample_acquisition(
            rng, subject, plane="coronal", view="pelvis", rows=256, thickness_mm=4.0
        )
        if number < 9:
            write_series(subject, acquisition, folder / str(number))
        hip = truth(subject)[number % 2]
        rows.append([number, f"SIM{number}", hip.t_score, hip.side, "20240101", "2024-02-01"])
    rows[9][5] = "2024-09-01"
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["series_dir", "patient_id", "t_score", "side", "ct_date", "dxa_date"])
        table.writerows(rows)
    return folder


@pytest.fixture
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the intervals of 20 instead of 1,000 samples, which take 18 s of CPU time a set."""
    draws = measures.patient_draws
    monkeypatch.setattr(
        measures, "patient_draws", lambda patients, rng, _=0: draws(patients, rng, 20)
    )


@pytest.mark.slow
@pytest.mark.usefixtures("_few_resamples")
def test_from_manifest_to_a_package_that_the_worker_loads(site: Path, tmp_path: Path) -> None:
    data, run, model = tmp_path / "data", tmp_path / "run", tmp_path / "model"

    call("prepare", site / "manifest.csv", "--out", data, "--workers", 1)
    shards = {path: path.stat().st_mtime_ns for path in (data / "shards").iterdir()}
    call("prepare", site / "manifest.csv", "--out", data, "--workers", 1)
    assert {p: p.stat().st_mtime_ns for p in (data / "shards").iterdir()} == shards
    flow = json.loads((data / "flow.json").read_text())
    hips = dataset.load(data)
    assert flow["series"] == 10
    assert flow["series_excluded"]["DATES_APART"] == 1
    assert sum(flow["hips"].values()) == len(hips.records) >= 6
    assert (data / "flow.png").stat().st_size > 5000

    call("fit", "--data", data, "--out", run, "--epochs", 1)
    call("evaluate", "--manifest", site / "manifest.csv", "--model", run / "model",
         "--out", tmp_path / "evaluation", "--workers", 1)  # fmt: skip
    call("package", run, "--out", model, "--evaluation", tmp_path / "evaluation")
    loaded = package.load(model)
    assert loaded.info.name == "osteoscreen"
    assert loaded.envelope is not None
    assert loaded.envelope.scans == len(
        {record.scan for record in hips.records if record.part == "train"}
    )
    evaluation = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert evaluation["hips"] == 10
    assert evaluation["hips_graded"] + sum(evaluation["reasons"].values()) == 10
    assert "whole series" in (model / package.CARD).read_text()

    call("fit", "--data", data, "--out", tmp_path / "clinical", "--preset", "paper-clinical",
         "--epochs", 1)  # fmt: skip
    call("report", "--data", data, "--run", run, "--run", tmp_path / "clinical",
         "--out", tmp_path / "report")  # fmt: skip
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Simulated CT" in page
    assert not re.search(r"(src|href)=['\"]http", page)
    for title in ("Table 1", "Table 2", "Table 3", "Fig. 4", "Fig. 5", "Calibration"):
        assert title in page


def test_unusable_manifest_is_reported_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("series_dir,patient_id\n")

    result = CliRunner().invoke(
        app, ["prepare", str(tmp_path / "manifest.csv"), "--out", str(tmp_path)]
    )

    assert result.exit_code == 2
    assert "has no column t_score" in result.output
    assert "Traceback" not in result.output


def test_clinical_network_is_refused_as_a_model_package(tmp_path: Path) -> None:
    from tests.support.model_factory import DESCRIPTION
    from worker.pipeline.model.networks import build

    with pytest.raises(ValueError, match="sees no picture"):
        package.save(tmp_path, build("paper-clinical"), DESCRIPTION)
