"""Covered: files and entries of studies of several series, and errors in one of them.

The screening of a series and the building of outputs are replaced where an error is needed; the
whole path is in tests/integration/test_screen_study_cli.py.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from tests.support.ct_volume import write_ct
from tests.support.factories import make_ct_headers, make_screening
from worker.cli import screen_studies as module
from worker.cli.finished import FinishedStudy, line_of, study_line, write_study_json
from worker.cli.screen_studies import StudyOptions, screen_studies
from worker.cli.studies import Studies, group_studies
from worker.pipeline import load
from worker.pipeline.reasons import Reason, ReasonCode
from worker.pipeline.results import Grade, Model, Rejected, Screening
from worker.screening.outputs import DEFAULT_OPTIONS

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
STUDY = "1.2.826.0.1.3680043.8.498.5"
KEYS = {
    "study_uid", "state", "reason", "series", "hips", "grade", "measurements", "spine", "model",
    "warnings", "outputs",
}  # fmt: skip
NO_FEMUR = Reason(ReasonCode.NO_FEMUR, "Not in the field of view.")


def uid(number: int) -> str:
    return f"{STUDY}.{number}"


@pytest.fixture
def studies(tmp_path: Path) -> Studies:
    """Series 1 and 2 are equal but for their coverage, series 3 is a localizer."""
    for number in (1, 2, 3):

        def change(_: int, ds: Dataset, number: int = number) -> None:
            ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, uid(number)
            ds.SeriesNumber = number
            if number == 3:
                ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

        slices = np.zeros((14 - number, 8, 6), np.int16)
        write_ct(tmp_path / str(number), slices, change=change, spacing=(9.0, 9.0))
    return group_studies(load.find_series(tmp_path))


def screened(number: int, right: Any, left: Any) -> Screening | Rejected:
    headers = make_ct_headers(SeriesInstanceUID=uid(number), SeriesNumber=number)
    result = make_screening(headers, right=right, left=left)
    hips = tuple(replace(hip, series_instance_uid=uid(number)) for hip in result.hips)
    return replace(result, hips=hips)


def run(
    studies: Studies, out: Path, monkeypatch: pytest.MonkeyPatch, *results: Any
) -> FinishedStudy:
    by_folder = {str(number): result for number, result in enumerate(results, 1)}

    whole = module.screen

    def screen(paths: tuple[Path, ...], model: Model, **options: Any) -> Screening | Rejected:
        result = by_folder.get(paths[0].parent.name)
        if result is None:  # a series that its headers reject
            return whole(paths, model, **options)
        if isinstance(result, Exception):
            raise result
        return result  # type: ignore[no-any-return]

    monkeypatch.setattr(module, "screen", screen)
    out.mkdir()
    (study,) = screen_studies(
        studies,
        out,
        make_screening().model,  # type: ignore[arg-type]
        at=AT,
        options=StudyOptions(DEFAULT_OPTIONS, rules=(), max_series=3),
    )
    return study


def test_one_report_for_the_study_and_an_entry_for_every_series(
    studies: Studies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = screened(1, Grade.NORMAL, Grade.OSTEOPENIA)

    study = run(studies, tmp_path / "out", monkeypatch, best)

    assert set(study.entry) == KEYS
    assert (study.entry["study_uid"], study.entry["state"]) == (STUDY, "reported")
    assert study.entry["grade"] == "osteopenia"
    assert [one["state"] for one in study.entry["series"]] == [
        "screened", "not_selected", "rejected",
    ]  # fmt: skip
    assert [one["rank"] for one in study.entry["series"]] == [1, 2, None]
    assert [hip["series_uid"] for hip in study.entry["hips"]] == [uid(1)] * 2
    assert study.entry["outputs"]["sr"].endswith(f"{uid(1)}.sr.dcm")
    pictures = [Path(path).name for path in study.entry["outputs"]["sc"]]
    assert pictures == [f"{uid(1)}.sc.dcm", f"{uid(1)}.overlay.sc.dcm"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{uid(1)}.sr.dcm", f"{uid(1)}.sc.dcm", f"{uid(1)}.overlay.sc.dcm", f"{uid(1)}.png",
    }  # fmt: skip
    entries = {one.series_instance_uid: one.entry or {} for one in study.series}
    assert entries[uid(1)]["outputs"]["sr"] == study.entry["outputs"]["sr"]
    assert entries[uid(2)]["state"] == "not_selected"
    assert entries[uid(2)]["reason"]["text"].startswith("Series 1, coronal, was preferred")
    assert entries[uid(2)]["outputs"] == {"sr": None, "sc": None, "png": None}
    checks = {check["rule"]: check["state"] for check in entries[uid(3)]["checks"]}
    assert checks["no_localizer"] == "failed"
    assert {set(entry) == set(entries[uid(1)]) for entry in entries.values()} == {True}
    path = write_study_json([study], tmp_path / "out")
    assert json.loads(path.read_text()) == [study.entry]
    assert study_line(study) == f"study {STUDY}  reported  osteopenia"


def test_a_result_of_two_series_has_one_report_and_names_both(
    studies: Studies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = screened(1, Grade.NORMAL, NO_FEMUR)
    second = screened(2, NO_FEMUR, Grade.OSTEOPOROSIS)

    study = run(studies, tmp_path / "out", monkeypatch, first, second)

    assert [hip["series_uid"] for hip in study.entry["hips"]] == [uid(1), uid(2)]
    assert study.entry["grade"] == "osteoporosis"
    assert len(list((tmp_path / "out").glob("*.sr.dcm"))) == 1
    entries = {one.series_instance_uid: one.entry or {} for one in study.series}
    assert entries[uid(1)]["grade"] == "normal"
    assert entries[uid(2)]["grade"] == "osteoporosis"
    assert entries[uid(2)]["outputs"]["sr"] is None


def test_a_series_that_fails_yields_to_the_next(
    studies: Studies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = screened(2, Grade.NORMAL, Grade.NORMAL)

    study = run(studies, tmp_path / "out", monkeypatch, MemoryError(), second)

    assert study.entry["state"] == "reported"
    failed = study.entry["series"][0]
    assert (failed["state"], failed["reason"]["code"]) == ("failed", "FAILED")
    assert study.entry["warnings"][0].startswith("Study: series 1, coronal, ranks higher")
    assert isinstance(study.series[0].error, MemoryError)
    assert "failed" in line_of(study.series[0])


def test_outputs_that_cannot_be_written_fail_the_study(
    studies: Studies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_outputs(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.outputs, "build_outputs", build_outputs)

    study = run(studies, tmp_path / "out", monkeypatch, screened(1, Grade.NORMAL, Grade.NORMAL))

    assert (study.entry["state"], study.entry["grade"]) == ("failed", None)
    assert study.entry["series"][0]["state"] == "failed"
    assert isinstance(study.series[0].error, OSError)
