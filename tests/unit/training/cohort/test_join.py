"""DXA patients and their CT in a nested tree, joined by PatientID, without moving a file."""

import csv
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.ct_factory import ct_series, write_files
from training.cli import app
from training.cohort.join import FoundStudy, find_studies, match
from training.cohort.manifest import ManifestError, ManifestRow, find_files, read_manifest
from worker.pipeline.ranking.series_facts import StudySeries


def write_study(folder: Path, patient: str, day: str, **series: dict[str, object]) -> None:
    """Write the series of one study, at different depths, two of them in one folder."""
    uid = None
    for depth, (name, changes) in enumerate(series.items()):
        instances = ct_series(40, PatientID=patient,
                              StudyDate=day, **changes)  # fmt: skip
        uid = uid or instances[0].StudyInstanceUID
        for instance in instances:
            instance.StudyInstanceUID = uid
        write_files(instances, folder / "/".join("x" * depth) / name)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("export")
    soft, sharp = {"ConvolutionKernel": "B30f"}, {"ConvolutionKernel": "B70f"}
    write_study(root / "2024" / "a", "P1", "20240301", sharp=sharp, soft=soft)
    write_study(root / "2024" / "b", "P1", "20230101", old=soft)
    write_study(root / "c", "00123", "20240301", soft=soft)
    (root / "c" / "report.pdf").write_bytes(b"%PDF")
    localizer = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    write_study(root / "d", "P4", "20240301", scout=localizer)
    return root


def test_the_best_series_of_each_study_near_dxa_is_joined(tree: Path, tmp_path: Path) -> None:
    table = tmp_path / "dxa.csv"
    table.write_text(
        "PatientID;T-Score;side;dxa_date;sex\n"
        "P1;-2,6;L;2024-03-20;F\n"
        "123;-1,0;R;2024-03-20;M\n"
        "P4;-1,5;L;2024-03-20;F\n"
        "P5;0,1;R;2024-03-20;F\n"
    )
    before = sorted(path for path in tree.rglob("*"))

    result = CliRunner().invoke(
        app, ["join", str(table), "--dicom", str(tree), "--out", str(tmp_path / "out")]
    )

    assert result.exit_code == 0, result.output
    assert "1 of 4 lines have a CT: 1 series of 1 patients" in result.output
    (row,) = read_manifest(tmp_path / "out" / "manifest.csv")
    assert (row.patient_id, row.t_score, row.side, row.sex) == ("P1", -2.6, "L", "F")
    assert (row.ct_date, row.dxa_date) == (date(2024, 3, 1), date(2024, 3, 20))
    files = [path.resolve() for path in find_files(row.series_dir)]
    assert len(files) == 40
    assert {path.parent.name for path in files} == {"soft"}
    assert sorted(path for path in tree.rglob("*")) == before
    with (tmp_path / "out" / "unused.csv").open(newline="") as file:
        unused = {(one["patient"], one["code"]): one["text"] for one in csv.DictReader(file)}
    assert set(unused) == {
        ("P1", "DATES_APART"), ("123", "NO_CT"), ("P4", "NO_SERIES"), ("P5", "NO_CT")
    }  # fmt: skip
    assert unused["123", "NO_CT"].endswith("The headers have '00123'.")


def test_a_hip_gets_the_nearest_of_several_results() -> None:
    study = FoundStudy("P1", date(2024, 3, 1), StudySeries("1.2", (Path("a"),)))

    def row(line: int, side: str | None, day: date) -> ManifestRow:
        return ManifestRow(line, Path(), "P1", -1.0, side, dxa_date=day)  # type: ignore[arg-type]

    rows = [
        row(2, "L", date(2024, 2, 1)),
        row(3, "L", date(2024, 3, 3)),
        row(4, "R", date(2024, 2, 1)),
        row(5, None, date(2024, 2, 20)),
    ]
    taken, unused = match(rows, [study], frozenset({"P1"}))

    assert [each.line for each, _ in taken] == [3, 4]
    assert [(one.line, one.code) for one in unused] == [(5, "OTHER_DXA"), (2, "OTHER_DXA")]


def test_a_tree_without_dicom_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="has no DICOM file"):
        find_studies(tmp_path, ["P1"])
