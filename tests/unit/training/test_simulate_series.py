"""Simulated series as files: valid, deterministic, with the geometry of the truth; the series
that must be rejected; the command. dciodvfy is the judge where it is installed."""

import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from training.__main__ import app
from training.simulate import command
from training.simulate.acquisition import sample_acquisition
from training.simulate.invalid import KINDS, write_invalid
from training.simulate.scanner import render
from training.simulate.series import iter_series, write_series
from training.simulate.subject import sample_subject
from worker.pipeline.results import Grade

SMALL = {"rows": 48, "slices": 10, "thickness_mm": 1.3, "increment_mm": 5.0}


def _plan(seed=1, plane="coronal", **fixed):
    rng = np.random.default_rng(seed)
    subject = sample_subject(rng, grade="osteopenia")
    return subject, sample_acquisition(rng, subject, plane=plane, **{**SMALL, **fixed})


def _read(paths):
    return [pydicom.dcmread(path) for path in paths]


@pytest.mark.parametrize("plane", ["coronal", "axial", "sagittal"])
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_files_are_valid_ct_images(tmp_path, plane, seed):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    path = write_series(*_plan(seed, plane, slices=1), tmp_path)[0]

    judge = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)

    assert "Error" not in judge.stderr
    assert judge.stderr.startswith("CTImage")


def test_same_seed_same_bytes(tmp_path):
    first = write_series(*_plan(), tmp_path / "a")
    second = write_series(*_plan(), tmp_path / "b")
    other = write_series(*_plan(seed=2), tmp_path / "c")

    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert first[0].read_bytes() != other[0].read_bytes()


@pytest.mark.parametrize("plane", ["coronal", "axial"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pixels_and_positions_are_those_of_the_rendered_slices(tmp_path, plane, seed):
    subject, acquisition = _plan(seed, plane)
    datasets = _read(write_series(subject, acquisition, tmp_path))

    hu = render(subject, acquisition)
    affine = acquisition.affine()
    assert len(datasets) == 10
    for index, ds in enumerate(datasets):
        read = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        np.testing.assert_array_equal(read, hu[index])
        position = affine[:3, 3] + affine[:3, 0] * index
        np.testing.assert_allclose(ds.ImagePositionPatient, position, atol=1e-3)
        along_row, along_column = np.reshape(ds.ImageOrientationPatient, (2, 3))
        np.testing.assert_allclose(affine[:3, 2], along_row * acquisition.pixel_mm)
        np.testing.assert_allclose(affine[:3, 1], along_column * acquisition.pixel_mm)


def test_both_pixel_encodings_of_scanners_occur(tmp_path):
    kinds = set()
    for seed in range(8):
        ds = pydicom.dcmread(write_series(*_plan(seed, slices=1), tmp_path / str(seed))[0])
        kinds.add((ds.PixelRepresentation, float(ds.RescaleIntercept)))

    assert kinds == {(0, -1024.0), (1, 0.0)}


def test_header_tells_the_patient_and_that_it_is_simulated(tmp_path):
    subject, acquisition = _plan()
    ds = _read(write_series(subject, acquisition, tmp_path, patient=7))[0]

    assert (ds.PatientName, ds.PatientSex) == ("SIM^0007", subject.sex)
    assert ds.PatientAge == f"{subject.age_years:03d}Y"
    assert float(ds.PatientSize) == pytest.approx(subject.height_m)
    assert float(ds.PatientWeight) == pytest.approx(subject.weight_kg)
    assert "simulated" in ds.SeriesDescription
    assert int(ds.KVP) == acquisition.kvp
    assert ds.ImageType[:2] == ["DERIVED", "SECONDARY"]


def test_no_label_is_written_into_the_file(tmp_path):
    subject, acquisition = _plan()
    text = write_series(subject, acquisition, tmp_path)[0].read_bytes().lower()

    for word in (
        b"osteopenia",
        b"t-score",
        b"t_score",
        str(round(subject.t_score, 2)).encode(),
    ):
        assert word not in text


def test_header_elements_can_be_replaced_and_removed(tmp_path):
    header = {"PatientAge": None, "BodyPartExamined": "HEAD"}
    ds = _read(write_series(*_plan(), tmp_path, header=header))[0]

    assert "PatientAge" not in ds
    assert ds.BodyPartExamined == "HEAD"


def test_uids_of_series_differ_by_patient_and_by_scan(tmp_path):
    subject, coronal = _plan()
    _, axial = _plan(plane="axial")
    written = [
        next(iter_series(subject, coronal, tmp_path / "a")),
        next(iter_series(subject, axial, tmp_path / "b")),
        next(iter_series(*_plan(seed=2), tmp_path / "c")),
    ]
    datasets = _read(written)

    assert len({ds.SeriesInstanceUID for ds in datasets}) == 3
    assert datasets[0].StudyInstanceUID == datasets[1].StudyInstanceUID
    assert datasets[0].FrameOfReferenceUID == datasets[1].FrameOfReferenceUID
    assert datasets[0].StudyInstanceUID != datasets[2].StudyInstanceUID
    assert datasets[0].PatientID != datasets[2].PatientID


BROKEN = {
    "sagittal": lambda all: (
        [float(v) for v in all[0].ImageOrientationPatient] == [0, 1, 0, 0, 0, -1]
    ),
    "localizer": lambda all: all[0].ImageType[2] == "LOCALIZER",
    "few-slices": lambda all: len(all) == 6,
    "gap": lambda all: np.ptp(np.diff([float(ds.ImagePositionPatient[1]) for ds in all])) > 4,
    "child": lambda all: all[0].PatientAge == "011Y",
    "metal": lambda all: any(
        int(ds.pixel_array.max()) + int(ds.RescaleIntercept) >= 3071 for ds in all
    ),
    "mixed": lambda all: (
        len({ds.PatientID for ds in all}) == 2
        and len({ds.SeriesInstanceUID for ds in all}) == 1
    ),
    "abdomen": lambda all: len(all) >= 10,
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_invalid_series_breaks_the_rule_of_its_name(tmp_path, kind):
    datasets = _read(write_invalid(kind, tmp_path, seed=1, **SMALL))

    assert BROKEN[kind](datasets)
    assert len({ds.SeriesInstanceUID for ds in datasets}) == 1


def test_command_plans_all_grades_in_turn():
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
    small = [_plan(seed) for seed in (1, 2)]
    monkeypatch.setattr(command, "plan_series", lambda number, *_: small[number - 1])
    stale = tmp_path / "0001" / "IM9999.dcm"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier run")

    result = CliRunner().invoke(app, ["simulate", str(tmp_path), "--count", "2", "--seed", "5"])

    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "truth.json").read_text())["series"]
    assert not stale.exists()
    assert [entry["folder"] for entry in told] == ["0001", "0002"]
    for entry, (subject, acquisition) in zip(told, small, strict=True):
        files = sorted((tmp_path / entry["folder"]).glob("IM*.dcm"))
        assert len(files) == entry["acquisition"]["slices"] == acquisition.slices
        assert pydicom.dcmread(files[0]).SeriesInstanceUID == entry["series_uid"]
        assert entry["grade"] == subject.grade.value
        assert [hip["side"] for hip in entry["hips"]] == ["R", "L"]


def test_command_refuses_an_unknown_grade(tmp_path):
    result = CliRunner().invoke(app, ["simulate", str(tmp_path), "--grade", "bad"])

    assert result.exit_code == 2
