"""Command ``simulate``: plan of the series, files, truth and manifest."""

import json

import pydicom
import pytest
from typer.testing import CliRunner

from tests.support.simulated import small_series
from training.cli import app
from training.simulate import command
from worker.pipeline.results import Grade


def test_command_alternates_the_grades():
    plans = [command.plan_series(n, 3, "coronal", None, "none") for n in range(1, 7)]

    assert [subject.grade for subject, _ in plans] == [*Grade, *Grade]


@pytest.mark.parametrize(
    "choice", ["metal", "metal-both", "prone", "arms", "one-hip", "abdomen"]
)
def test_command_keeps_the_condition(choice):
    subject, acquisition = command.plan_series(1, 3, "axial", Grade.NORMAL, choice)

    shown = {
        "metal": sum(hip.implant is not None for hip in subject.hips) == 1,
        "metal-both": all(hip.implant for hip in subject.hips),
        "prone": subject.pose.prone,
        "arms": subject.pose.arms_down,
        "one-hip": acquisition.side is not None,
        "abdomen": acquisition.scan_mm[0] > subject.pose.position_mm[2] + 50,
    }
    assert shown[choice]


def test_command_writes_series_and_truth(tmp_path, monkeypatch):
    small = [small_series(seed) for seed in (1, 2)]
    monkeypatch.setattr(command, "plan_series", lambda number, *_: small[number - 1])
    stale = tmp_path / "0001" / "IM9999.dcm"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier run")

    result = CliRunner().invoke(app, ["simulate", str(tmp_path), "--count", "2", "--seed", "5"])

    assert result.exit_code == 0, result.output
    entries = json.loads((tmp_path / "truth.json").read_text())["series"]
    assert not stale.exists()
    assert [entry["folder"] for entry in entries] == ["0001", "0002"]
    for entry, (subject, acquisition) in zip(entries, small, strict=True):
        files = sorted((tmp_path / entry["folder"]).glob("IM*.dcm"))
        assert len(files) == entry["acquisition"]["slices"] == acquisition.slices
        assert pydicom.dcmread(files[0]).SeriesInstanceUID == entry["series_uid"]
        assert entry["grade"] == subject.grade.value
        assert [hip["side"] for hip in entry["hips"]] == ["R", "L"]


def test_command_refuses_an_unknown_grade(tmp_path):
    result = CliRunner().invoke(app, ["simulate", str(tmp_path), "--grade", "bad"])

    assert result.exit_code == 2
