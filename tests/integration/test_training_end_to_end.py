"""The training commands of docs/training.md on a small simulated site.

Covered: series and manifest are prepared, a model is fitted, evaluated, packaged and reported;
a second ``prepare`` reads nothing; the worker loads the package.
Not covered: performance of the model.
"""

import csv
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.support.series import write_simulated
from training.cli import app
from training.cohort import dataset
from training.evaluate import measures
from training.simulate.acquisition import sample_acquisition
from training.simulate.subject import sample_subject
from training.simulate.truth import truth
from worker.pipeline.model import package
from worker.pipeline.results import Grade

ROOT = Path(__file__).parents[2]
HEADINGS = ("series_dir", "PatientID", "T-Score", "side", "ct_date", "dxa_date")


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
            write_simulated(subject, acquisition, folder / str(number))
        hip = truth(subject)[number % 2]
        # The hash puts 2, 4, 5 and 7 into train, 3 and 6 into validation, 0, 1 and 8 into test.
        t_score = str(hip.t_score).replace(".", ",")
        rows.append([number, f"MRN{number}", t_score, hip.side, "01.01.2024", "2024/2/1"])
    rows[9][5] = "2024/9/1"
    for name in ("site.csv", "other.csv"):
        with (folder / name).open("w", newline="", encoding="utf-8-sig") as file:
            table = csv.writer(file, delimiter=";")
            table.writerow(
                ["series_dir", "PatientID", "T-Score", "side", "ct_date", "dxa_date"]
            )
            table.writerows(rows)
    return folder


@pytest.fixture
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the intervals of 20 instead of 1,000 samples, which take 18 s of CPU time a set."""
    draws = measures.patient_draws
    monkeypatch.setattr(
        measures, "patient_draws", lambda patients, rng, _=0: draws(patients, rng, 20)
    )


def documented() -> dict[str, list[str]]:
    """Return the arguments of each command in the first block of docs/training.md."""
    block = (ROOT / "docs" / "training.md").read_text().split("```sh\n")[1].partition("```")[0]
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    training = [words[3:] for words in commands if words[:3] == ["python", "-m", "training"]]
    return {"dry-run" if "--dry-run" in words else words[0]: words for words in training}


@pytest.mark.slow
@pytest.mark.usefixtures("_few_resamples")
def test_the_documented_commands_lead_to_a_package_that_the_worker_loads(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site)
    commands = documented()
    data, model = Path("build/data"), Path("build/model")

    preview = call(*commands["dry-run"])
    assert not Path("build").exists()
    assert "CSV, UTF-8, delimiter semicolon, 10 lines understood" in preview
    assert "t_score ('T-Score'): 10 values, 10 decimal comma" in preview
    call(*commands["prepare"], "--workers", 1)
    shards = {path: path.stat().st_mtime_ns for path in (data / "shards").iterdir()}
    call(*commands["prepare"], "--workers", 1)
    assert {p: p.stat().st_mtime_ns for p in (data / "shards").iterdir()} == shards
    flow = json.loads((data / "flow.json").read_text())
    hips = dataset.load(data)
    assert flow["series"] == 10
    assert flow["series_excluded"]["DATES_APART"] == 1
    assert sum(flow["hips"].values()) == len(hips.records) >= 6
    assert hips.outlines is not None
    assert (data / "flow.png").stat().st_size > 5000

    call(*commands["fit"], "--epochs", 1)
    again = CliRunner().invoke(app, [*commands["fit"], "--epochs", "2"])
    assert again.exit_code == 2
    assert "epochs 1, now 2" in again.output
    said = call(*commands["evaluate"], "--workers", 1)
    assert "patients were used to train or to select this model" in said
    refused = CliRunner().invoke(app, commands["package"])
    assert refused.exit_code == 2
    assert "at least 30 hips are needed" in refused.output
    call(*commands["package"], "--force")
    loaded = package.load(model)
    assert (loaded.info.name, loaded.info.version) == ("city-hips", "1.0")
    assert loaded.info.simulated  # as the headers of the simulator say
    assert loaded.envelope is not None
    assert loaded.envelope.scans == len(
        {record.scan for record in hips.records if record.part == "train"}
    )
    evaluation = json.loads(Path("build/evaluation/evaluation.json").read_text())
    assert evaluation["hips"] == 10
    assert evaluation["hips_graded"] + sum(evaluation["reasons"].values()) == 10
    assert evaluation["baseline"]["name"] == "osteoscreen 4.0"
    assert evaluation["t_score"]["hips"] == evaluation["hips_graded"]
    pictures = list(Path("build/evaluation/cases").iterdir())
    assert len(pictures) == evaluation["hips_graded"]
    card = (model / package.CARD).read_text()
    assert "whole series" in card
    assert "Packaged by --force although" in card

    call("fit", "--data", data, "--out", "build/clinical", "--preset", "paper-clinical",
         "--epochs", 1)  # fmt: skip
    call(*commands["report"], "--run", "build/clinical")
    page = Path("build/report/report.html").read_text()
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
    assert "no column t_score" in result.output
    assert "Traceback" not in result.output


def test_clinical_network_is_refused_as_a_model_package(tmp_path: Path) -> None:
    from tests.support.model_factory import DESCRIPTION
    from worker.pipeline.model.networks import build

    with pytest.raises(ValueError, match="sees no picture"):
        package.save(tmp_path, build("paper-clinical"), DESCRIPTION)
