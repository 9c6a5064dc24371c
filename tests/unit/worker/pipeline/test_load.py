"""Covered: grouping, order by geometry, HU, unreadable files.
Not covered: axes (test_load_axes), plausibility of header values (test_images,
test_eligibility)."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.support.ct_volume import load_volume, ramp, write_ct
from worker.pipeline import load
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Rejected
from worker.pipeline.volume import Series


def test_files_are_grouped_by_series_and_other_files_counted(tmp_path: Path) -> None:
    write_ct(tmp_path / "a" / "deep", ramp())
    write_ct(tmp_path / "b", ramp(11))
    (tmp_path / "notes.txt").write_text("no DICOM")
    (tmp_path / "empty.dcm").write_bytes(b"")

    found = load.find_series(tmp_path)

    assert sorted(len(paths) for paths in found.values()) == [11, 12]
    assert found.skipped == 2


@pytest.mark.parametrize(
    "order", [range(12), range(11, -1, -1), [5, 0, 11, 3, 1, 2, 4, 6, 10, 9, 8, 7]]
)
def test_slices_are_sorted_by_position_whatever_their_numbers(
    tmp_path: Path, order: list[int]
) -> None:
    paths = write_ct(tmp_path, ramp(), order=list(order))

    volume = load_volume(paths)

    np.testing.assert_array_equal(volume.hu, ramp())
    assert volume.affine[1, 0] == pytest.approx(3.0)
    assert len(volume.source_sop_uids) == 12


def test_hu_is_slope_times_value_plus_intercept(tmp_path: Path) -> None:
    """PS3.3 C.11.1; with the minus sign of the paper's Eq. 3 water would be 2048 HU."""
    paths = write_ct(tmp_path, np.full((10, 8, 6), 0, np.int16))

    assert (load_volume(paths).hu == 0).all()

    halved = write_ct(tmp_path / "2", np.full((10, 8, 6), 976, np.int16), RescaleSlope=0.5)
    assert (load_volume(halved).hu == -24).all()


def test_the_lowest_tube_voltage_is_that_of_all_images(tmp_path: Path) -> None:
    def kvp_of(name: str, **elements: object) -> float | None:
        volume = load_volume(write_ct(tmp_path / name, ramp(), **elements))
        assert volume.acquired is not None
        return volume.acquired.kvp

    assert kvp_of("stated", KVP=120) == 120
    assert kvp_of("absent", KVP=None) is None
    assert kvp_of("70 keV", KVP=120, SeriesDescription="monoenergetic 70 keV") is None

    def first_differs(index: int, ds: Dataset) -> None:
        ds.KVP = 120 if index else 100

    different = load_volume(write_ct(tmp_path / "different", ramp(), change=first_differs))
    assert different.acquired is not None
    assert different.acquired.kvp == 100


@pytest.mark.parametrize("padding", [-2000, -3024])
def test_padding_becomes_air(tmp_path: Path, padding: int) -> None:
    hu = ramp()
    hu[:, :2] = padding
    paths = write_ct(tmp_path, hu)

    volume = load_volume(paths)

    assert (volume.hu[:, :2] == -1024).all()
    np.testing.assert_array_equal(volume.hu[:, 2:], hu[:, 2:])


def test_declared_padding_value_inside_the_range_of_tissue_becomes_air(tmp_path: Path) -> None:
    hu = np.full((10, 8, 6), 40, np.int16)
    hu[:, :, 0] = 500
    paths = write_ct(tmp_path, hu, PixelPaddingValue=1524)

    volume = load_volume(paths)

    assert (volume.hu[:, :, 0] == -1024).all()
    assert (volume.hu[:, :, 1:] == 40).all()


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_compressed_pixels_are_the_same_hu(tmp_path: Path, syntax: str) -> None:
    hu = ramp(10, 64, 64)

    volume = load_volume(write_ct(tmp_path, hu, compress=syntax))

    np.testing.assert_array_equal(volume.hu, hu)


def test_deflated_pixels_are_the_same_hu(tmp_path: Path) -> None:
    def deflate(_: int, ds: Dataset) -> None:
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    volume = load_volume(write_ct(tmp_path, ramp(), change=deflate))

    np.testing.assert_array_equal(volume.hu, ramp())


def test_second_copy_of_an_instance_is_left_out(tmp_path: Path) -> None:
    paths = write_ct(tmp_path, ramp())
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(paths[3].read_bytes())

    series = load.read_series([*paths, copy])

    assert isinstance(series, Series)
    assert len(series.headers) == 12


def test_truncated_pixels_are_a_reason(tmp_path: Path) -> None:
    def truncate(index: int, ds: Dataset) -> None:
        if index == 7:
            ds.PixelData = ds.PixelData[:20]

    series = load.read_series(write_ct(tmp_path, ramp(), change=truncate))
    assert isinstance(series, Series)

    rejected = load.read_volume(series)

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code is ReasonCode.UNDECODABLE
    assert rejected.orientation == "coronal"


@pytest.mark.parametrize(
    "elements", [{"RescaleSlope": None}, {"RescaleIntercept": "abc"}, {"RescaleSlope": 0}]
)
def test_unknown_rescale_is_a_reason(tmp_path: Path, elements: dict[str, object]) -> None:
    series = load.read_series(write_ct(tmp_path, ramp(), **elements))
    assert isinstance(series, Series)

    rejected = load.read_volume(series)

    assert isinstance(rejected, Rejected)
    assert "rescale" in rejected.reason.text


def test_series_without_files_and_unreadable_file_are_reasons(tmp_path: Path) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"not DICOM")

    for paths in ([], [broken]):
        rejected = load.read_series(paths)
        assert isinstance(rejected, Rejected)
        assert rejected.reason.code is ReasonCode.UNDECODABLE


def damage(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def test_files_that_break_the_parser_are_skipped_and_the_others_are_found(
    tmp_path: Path,
) -> None:
    paths = write_ct(tmp_path, ramp(), SpecificCharacterSet="ISO_IR 100")
    damage(paths[0], b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")  # not deflated
    damage(paths[1], b"\x08\0\x05\0CS", b"\x08\0\x05\0CN")  # not a VR

    found = load.find_series(tmp_path)

    assert [len(files) for files in found.values()] == [10]
    assert found.skipped == 2


@pytest.mark.parametrize("uid", ["../../x", "[/bold]", "1.2.x Miller^Jane", "1." * 40 + "1"])
def test_files_whose_series_uid_is_invalid_are_skipped(tmp_path: Path, uid: str) -> None:
    write_ct(tmp_path, ramp(), SeriesInstanceUID=uid)

    found = load.find_series(tmp_path)

    assert not found
    assert found.skipped == 12


def test_series_with_a_damaged_file_keeps_its_uid_and_names_no_file(tmp_path: Path) -> None:
    paths = write_ct(tmp_path, ramp())
    damaged = paths[0].rename(tmp_path / "Miller_Jane.dcm")
    damaged.write_bytes(b"not DICOM")

    rejected = load.read_series([damaged, *paths[1:]])

    assert isinstance(rejected, Rejected)
    assert rejected.series_instance_uid in load.find_series(tmp_path)
    assert rejected.reason.code is ReasonCode.UNDECODABLE
    assert "Miller" not in rejected.reason.text
