"""Covered: maps, projections and slabs by each source, and valid images that resemble them.
Not covered: series descriptions (test_derived_descriptions), monoenergetic images
(test_monoenergetic)."""

import time
from pathlib import Path

import pytest
from pydicom import Dataset

from tests.support import enhanced_ct
from tests.support.ct_volume import ct_headers
from tests.support.enhanced_ct import images_of, noise
from tests.support.rule_results import derived_reason, rejection
from worker.pipeline import load
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Rejected
from worker.pipeline.validation.derived_images import derived_image
from worker.pipeline.volume import Series


def code(value: str, scheme: str = "DCM") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "meaning"
    return item


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["DERIVED", "PRIMARY", "AXIAL", "MAT_REMOVED"], "material-removed image"),
        (["ORIGINAL", "PRIMARY", "AXIAL", "MAT_SPECIFIC"], "material map"),
        (["DERIVED", "PRIMARY", "AXIAL", "MAT_FRACTIONAL"], "material map"),
        (["DERIVED", "PRIMARY", "AXIAL", "MAT_MODIFIED"], "material-modified image"),
        (["DERIVED", "PRIMARY", "AXIAL", "MAT_VALUE_BASED"], "material map"),
        (["ORIGINAL", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"], "effective atomic number map"),
        (["ORIGINAL", "PRIMARY", "AXIAL", "ELECTRON_DENSITY"], "electron density map"),
        (["DERIVED", "SECONDARY", "REFORMATTED", "MIP THICK"], "maximum intensity projection"),
        (["DERIVED", "SECONDARY", "REFORMATTED", "MAXIMUM"], "maximum intensity projection"),
        (["DERIVED", "SECONDARY", "THIN_MIP"], "maximum intensity projection"),
        (["DERIVED", "SECONDARY", "THICKMIP5"], "maximum intensity projection"),
        (["DERIVED", "SECONDARY", "AXIAL", "SPECTRALVNC"], "virtual non-contrast image"),
        (["DERIVED", "SECONDARY", "MAX_IP"], "maximum intensity projection"),
        (["DERIVED", "SECONDARY", "MINIP"], "minimum intensity projection"),
        (["DERIVED", "SECONDARY", "AXIAL", "MINIMUM"], "minimum intensity projection"),
        (["DERIVED", "SECONDARY", "RAYSUM"], "intensity projection"),
        (["DERIVED", "SECONDARY", "VRT"], "volume rendering"),
        (["DERIVED", "SECONDARY", "VOLUME RENDERING"], "volume rendering"),
        (["DERIVED", "SECONDARY", "SSD"], "surface rendering"),
        (["DERIVED", "SECONDARY", "CPR"], "curved reformat"),
        (["DERIVED", "SECONDARY", "AXIAL", "DE_VNC"], "virtual non-contrast image"),
        (["DERIVED", "SECONDARY", "AXIAL", "DE_IODINE"], "material map"),
        (["DERIVED", "SECONDARY", "AXIAL", "DE_JOD"], "material map"),
        (["DERIVED", "SECONDARY", "AXIAL", "DE_BONEMARROW"], "virtual non-calcium image"),
        (["DERIVED", "SECONDARY", "VOLREN"], "volume rendering"),
        (["DERIVED", "PRIMARY", "VOLUME", "SUBTRACTION"], "subtraction"),
        (["DERIVED", "PRIMARY", "VOLUME", "STD_DEVIATION"], "pixel arithmetic"),
        (["DERIVED", "PRIMARY", "PERFUSION"], "perfusion map"),
    ],
)
@pytest.mark.covers("H6")
def test_image_type_names_a_derived_image(values: list[str], kind: str) -> None:
    text = derived_reason(ImageType=values)

    assert text is not None
    assert text.startswith(f"No CT values of slices in 12 of 12 images: {kind} (Image Type")


@pytest.mark.parametrize(
    "values",
    [
        ["ORIGINAL", "PRIMARY", "AXIAL"],
        ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"],
        ["DERIVED", "PRIMARY", "MPR", "CSA MPR"],
        ["DERIVED", "SECONDARY", "MPR", "CSA RESAMPLED"],
        ["DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 SPI DUAL"],
        ["DERIVED", "PRIMARY", "AXIAL", "ENERGY_PROP_WT"],
        ["DERIVED", "PRIMARY", "AXIAL", "M_0.5"],
        ["DERIVED", "PRIMARY", "VOLUME", "MEAN"],
        ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"],
        ["DERIVED", "PRIMARY", "AXIAL", "JP2K LOSSY 6:1"],
        "AXIAL",
        None,
    ],
)
def test_image_types_with_the_values_of_slices_are_accepted(values: object) -> None:
    assert derived_reason(ImageType=values, MultienergyCTAcquisition="YES") is None


@pytest.mark.parametrize(
    "value",
    [
        "113048", "113051", "113062", "113073", "113074", "113075", "113076", "113078",
        "113079", "129104",
    ],
)  # fmt: skip
def test_derivation_code_names_a_derived_image(value: str) -> None:
    text = derived_reason(DerivationCodeSequence=[code("113040"), code(value)])

    assert text is not None
    assert text.endswith("(Derivation Code Sequence).")


@pytest.mark.parametrize(
    "item",
    [code("113072"), code("113097"), code("113040"), code("113085"), code("113078", "X")],
)
def test_reformats_and_weighted_sums_are_accepted_by_their_code(item: Dataset) -> None:
    assert derived_reason(DerivationCodeSequence=[item]) is None


def test_derivation_description_is_read_and_not_quoted() -> None:
    text = derived_reason(DerivationDescription="VNC of Miller^Jane")

    assert text is not None
    assert text.endswith("virtual non-contrast image (Derivation Description).")
    assert "Miller" not in text


@pytest.mark.covers("H6")
def test_one_map_among_the_images_is_enough() -> None:
    headers = ct_headers(12)
    headers[4].ImageType = ["DERIVED", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"]

    reason = rejection(derived_image(headers))

    assert reason is not None
    assert "1 of 12 images" in reason.text


@pytest.mark.parametrize(
    ("mm", "accepted"), [(10, True), (10.1, False), (0, True), (30, False)]
)
def test_thick_slabs_are_no_slices(mm: float, accepted: bool) -> None:
    assert (derived_reason(SliceThickness=mm) is None) == accepted


def test_malformed_values_are_ignored() -> None:
    malformed = {
        "ImageType": 1,
        "SeriesDescription": b"\xff\0MIX",
        "SliceThickness": "abc",
        "DerivationDescription": ["a", "b"],
    }

    assert derived_reason(**malformed) is None


def test_texts_of_megabytes_are_cut() -> None:
    long = "for MIP " * 1_000_000
    start = time.monotonic()

    assert derived_reason(SeriesDescription=long, DerivationDescription=long) is None
    assert derived_reason(ImageType=["ORIGINAL", "PRIMARY"] * 100_000) is None
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("source", ["frame type", "image type", "derivation", "technique"])
def test_frames_of_enhanced_ct_are_recognized(
    tmp_path: Path, shared: bool, source: str
) -> None:
    def change(ds: Dataset) -> None:
        first = ds.SharedFunctionalGroupsSequence[0]
        groups = first if shared else ds.PerFrameFunctionalGroupsSequence[3]
        frame_type = Dataset()
        frame_type.FrameType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
        if source == "image type":
            ds.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "MAT_REMOVED"]
        elif source == "derivation":
            item = Dataset()
            item.DerivationDescription = "Virtual non-contrast"
            groups.DerivationImageSequence = [item]
        elif source == "technique":
            frame_type.VolumeBasedCalculationTechnique = "MAX_IP"
        else:
            frame_type.FrameType[3] = "MAT_REMOVED"
        del first.CTImageFrameTypeSequence
        groups.CTImageFrameTypeSequence = [frame_type]

    images = images_of(tmp_path / "single", noise())
    paths = enhanced_ct.write_enhanced(images, tmp_path, change=change)

    rejected = load.read_series(paths)

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code is ReasonCode.NOT_CT
    every = shared or source == "image type"
    assert f"in {14 if every else 1} of 14 images" in rejected.reason.text


def test_plain_enhanced_ct_is_accepted(tmp_path: Path) -> None:
    images = images_of(tmp_path / "single", noise())

    assert isinstance(load.read_series(enhanced_ct.write_enhanced(images, tmp_path)), Series)
