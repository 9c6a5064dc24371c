"""Simulated series as files: valid, deterministic, with the geometry of the truth.

The validator dciodvfy is used where it is installed.
"""

import shutil
import subprocess

import numpy as np
import pydicom
import pytest

from tests.support.simulated import read_all, small_series
from training.simulate.scanner import render
from training.simulate.series import iter_series, write_series


@pytest.mark.parametrize("plane", ["coronal", "axial", "sagittal"])
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_files_are_valid_ct_images(tmp_path, plane, seed):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    path = write_series(*small_series(seed, plane, slices=1), tmp_path)[0]

    result = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)

    assert "Error" not in result.stderr
    assert result.stderr.startswith("CTImage")


def test_same_seed_same_bytes(tmp_path):
    first = write_series(*small_series(), tmp_path / "a")
    second = write_series(*small_series(), tmp_path / "b")
    other = write_series(*small_series(seed=2), tmp_path / "c")

    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert first[0].read_bytes() != other[0].read_bytes()


@pytest.mark.parametrize("plane", ["coronal", "axial"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pixels_and_positions_are_those_of_the_rendered_slices(tmp_path, plane, seed):
    subject, acquisition = small_series(seed, plane)
    datasets = read_all(write_series(subject, acquisition, tmp_path))

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
        ds = pydicom.dcmread(
            write_series(*small_series(seed, slices=1), tmp_path / str(seed))[0]
        )
        kinds.add((ds.PixelRepresentation, float(ds.RescaleIntercept)))

    assert kinds == {(0, -1024.0), (1, 0.0)}


def test_header_states_the_patient_and_that_it_is_simulated(tmp_path):
    subject, acquisition = small_series()
    ds = read_all(write_series(subject, acquisition, tmp_path, patient=7))[0]

    assert (ds.PatientName, ds.PatientSex) == ("SIM^0007", subject.sex)
    assert ds.PatientAge == f"{subject.age_years:03d}Y"
    assert float(ds.PatientSize) == pytest.approx(subject.height_m)
    assert float(ds.PatientWeight) == pytest.approx(subject.weight_kg)
    assert "simulated" in ds.SeriesDescription
    assert int(ds.KVP) == acquisition.kvp
    assert ds.ImageType[:2] == ["DERIVED", "SECONDARY"]


def test_no_label_is_written_into_the_file(tmp_path):
    subject, acquisition = small_series()
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
    ds = read_all(write_series(*small_series(), tmp_path, header=header))[0]

    assert "PatientAge" not in ds
    assert ds.BodyPartExamined == "HEAD"


def test_uids_of_series_differ_by_patient_and_by_scan(tmp_path):
    subject, coronal = small_series()
    _, axial = small_series(plane="axial")
    written = [
        next(iter_series(subject, coronal, tmp_path / "a")),
        next(iter_series(subject, axial, tmp_path / "b")),
        next(iter_series(*small_series(seed=2), tmp_path / "c")),
    ]
    datasets = read_all(written)

    assert len({ds.SeriesInstanceUID for ds in datasets}) == 3
    assert datasets[0].StudyInstanceUID == datasets[1].StudyInstanceUID
    assert datasets[0].FrameOfReferenceUID == datasets[1].FrameOfReferenceUID
    assert datasets[0].StudyInstanceUID != datasets[2].StudyInstanceUID
    assert datasets[0].PatientID != datasets[2].PatientID
