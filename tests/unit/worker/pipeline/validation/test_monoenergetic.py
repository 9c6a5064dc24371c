"""Covered: energies by attribute and text, the warning, texts that resemble an energy."""

from pathlib import Path

import pytest
from pydicom import Dataset

from tests.support import enhanced_ct
from tests.support.ct_volume import ct_headers, sorted_series
from tests.support.enhanced_ct import images_of, noise
from tests.support.rule_results import rejection
from worker.pipeline import load
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Rejected
from worker.pipeline.validation.monoenergetic import (
    energies_of,
    monoenergetic,
    monoenergetic_warning,
)

VMI = ["DERIVED", "PRIMARY", "AXIAL", "VMI"]


def energies(**elements: object) -> set[float | None]:
    return set(energies_of(ct_headers(12, **elements)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("description", "found"),
    [
        ("MonoE 40 keV", {40}),
        ("Mono+ 70", {70}),
        ("Monoenergetic Plus 3.0 70keV", {70}),
        ("MonoE 3.0 Br40 70 keV", {70}),
        ("ME40keV", {40}),
        ("Monochromatic 55", {55}),
        ("Mono_140_keV", {140}),
        ("image monoénergétique 66", {66}),
        ("VMI 75", {75}),
        ("VMI+ 70", {70}),
        ("Monoenergetic Plus 70", {70}),
        ("keV 40", {40}),
        ("MonoE", {None}),
        ("Mono", {None}),
        ("monoenergetic 3mm", {None}),
        ("monophasic contrast", set()),
        ("mono-phasic", set()),
        ("Monitor scan 100", set()),
        ("pneumono 50", set()),
        ("120 kV", set()),
        ("Kevin 70", set()),
        ("M_0.5", set()),
        ("sVMIx 40", set()),
    ],
)
def test_energy_is_read_from_the_series_description(
    description: str, found: set[float | None]
) -> None:
    assert energies(SeriesDescription=description) == found


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"ImageType": VMI, "MonoenergeticEnergyEquivalent": 40.0}, "of 40 keV"),
        ({"ImageType": VMI}, "not stated"),
        ({"MonoenergeticEnergyEquivalent": 100.0}, "of 100 keV"),
        ({"ImageType": VMI, "MonoenergeticEnergyEquivalent": 0.0}, "not stated"),
        ({"ImageType": VMI, "DerivationDescription": "Mono 80.0 keV, was 50 keV"}, "of 50 keV"),
        ({"ImageType": VMI, "MonoenergeticEnergyEquivalent": 64.9}, "of 65 keV"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "MONO_E_50"]}, "of 50 keV"),
        ({"MonoenergeticEnergyEquivalent": 70.0, "SeriesDescription": "40 keV"}, "of 40 keV"),
    ],
)
@pytest.mark.covers("H14")
def test_other_and_unknown_energies_are_rejected(
    elements: dict[str, object], words: str
) -> None:
    reason = rejection(monoenergetic(ct_headers(12, **elements)))  # type: ignore[arg-type]

    assert reason is not None
    assert reason.code is ReasonCode.NOT_CT
    assert words in reason.text


@pytest.mark.parametrize("kev", [65.0, 70.0, 80.0])
def test_energies_near_120_kv_are_accepted_with_a_warning(kev: float) -> None:
    series = sorted_series(ct_headers(12, ImageType=VMI, MonoenergeticEnergyEquivalent=kev))

    assert rejection(monoenergetic(series.headers)) is None
    assert monoenergetic_warning(series) == (
        f"Monoenergetic images of {kev:.0f} keV: "
        "the model was trained on images of a tube voltage."
    )


def test_weighted_sum_may_state_its_equivalent_energy() -> None:
    elements = {"MonoenergeticEnergyEquivalent": 90.0, "MultienergyCTAcquisition": "YES"}

    assert energies(
        ImageType=["DERIVED", "PRIMARY", "AXIAL", "ENERGY_PROP_WT"], **elements
    ) == (set())


def test_ordinary_images_have_no_warning() -> None:
    assert monoenergetic_warning(sorted_series(ct_headers(12, KVP=120))) is None


def test_energy_inside_the_multi_energy_sequence_is_read() -> None:
    item = Dataset()
    item.MonoenergeticEnergyEquivalent = 40.0

    assert energies(MultienergyCTCharacteristicsSequence=[item]) == {40.0}


@pytest.mark.parametrize("shared", [True, False])
def test_energy_of_a_frame_is_read(tmp_path: Path, shared: bool) -> None:
    def change(ds: Dataset) -> None:
        item = Dataset()
        item.MonoenergeticEnergyEquivalent = 40.0
        frames = ds.PerFrameFunctionalGroupsSequence
        groups = ds.SharedFunctionalGroupsSequence[0] if shared else frames[5]
        groups.MultienergyCTCharacteristicsSequence = [item]

    images = images_of(tmp_path / "single", noise())
    rejected = load.read_series(enhanced_ct.write_enhanced(images, tmp_path, change=change))

    assert isinstance(rejected, Rejected)
    assert rejected.reason.text == (
        "Monoenergetic images of 40 keV, 65 to 80 keV are accepted."
    )
