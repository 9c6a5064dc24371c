"""docs/notebooks/first-model.ipynb, cell by cell, on an export of four simulated patients.

The cells are executed as a kernel does, in one namespace, without Jupyter.
Not covered: performance of the model.
"""

import csv
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from pydicom import dcmread

from tests.support.series import write_simulated
from training.cohort import dataset
from training.evaluate import measures
from training.simulate.acquisition import sample_acquisition
from training.simulate.subject import sample_subject
from training.simulate.truth import truth
from worker.pipeline.results import Grade

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "notebooks" / "first-model.ipynb"
PARTS = ("train", "train", "validation", "test")


def code_cells() -> list[dict[str, Any]]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def write_export(folder: Path) -> None:
    """Write four series in a nested tree and a table; ``split.csv`` states their parts."""
    rows, parts = [], []
    for number, part in enumerate(PARTS):
        rng = np.random.default_rng([5, number])
        subject = sample_subject(rng, grade=tuple(Grade)[number % 3])
        acquisition = sample_acquisition(
            rng, subject, plane="coronal", view="pelvis", rows=256, thickness_mm=4.0
        )
        paths = write_simulated(subject, acquisition, folder / "export" / f"{number}" / "ct")
        header = dcmread(paths[0], stop_before_pixels=True)
        hip = truth(subject)[number % 2]
        rows.append([header.PatientID, hip.t_score, hip.side, header.StudyDate])
        parts.append([header.PatientID, part])
    _write(folder / "dxa.csv", ["patient_id", "t_score", "side", "dxa_date"], rows)
    (folder / "build" / "data").mkdir(parents=True)
    _write(folder / "build" / "data" / "split.csv", ["patient", "part"], parts)


def _write(path: Path, headings: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([headings, *rows])


def test_the_notebook_is_stored_without_outputs() -> None:
    cells = code_cells()

    assert len(cells) > 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


@pytest.mark.slow
def test_every_cell_of_the_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draws = measures.patient_draws
    monkeypatch.setattr(
        measures, "patient_draws", lambda patients, rng, n=0: draws(patients, rng, min(n, 20))
    )
    mpl.use("Agg")
    write_export(tmp_path)
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "shipped").symlink_to(ROOT / "worker" / "shipped")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}

    for number, cell in enumerate(code_cells()):
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)  # noqa: S102
        if "parameters" in cell["metadata"].get("tags", ()):
            names |= {"EPOCHS": 1, "WORKERS": 1}

    output = capsys.readouterr().out
    assert "4 of 4 lines have a CT: 4 series of 4 patients" in output
    assert "image: accuracy" in output
    hips = dataset.load(tmp_path / "build" / "data")
    assert hips.outlines is not None
    assert len(hips.records) == 4
    assert [record.part for record in hips.records].count("train") == 2
    assert (tmp_path / "build" / "report" / "report.html").exists()
    summary = json.loads((tmp_path / "build" / "run" / "run.json").read_text())
    assert summary["training"]["initial"]["name"] == "osteoscreen"
