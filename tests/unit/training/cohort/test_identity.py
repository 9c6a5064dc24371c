"""Patients and series of manifest and headers: contradictions are refused or listed."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset

from training.cohort.identity import (
    HeaderIdentity,
    IdentityError,
    check_identities,
    identity_of,
    sex_exclusion,
)
from training.cohort.manifest import ManifestRow

ROW = ManifestRow(line=2, series_dir=Path("a"), patient_id="P1", t_score=-1.0, sex="F")


def header(**values: str) -> Dataset:
    ds = Dataset()
    for name, value in {"PatientID": "1", **values}.items():
        setattr(ds, name, value)
    return ds


def found(folder: str, uid: str, patient: str, in_header: str) -> HeaderIdentity:
    return HeaderIdentity(folder, uid, patient, in_header, simulated=False)


def test_identity_is_read_from_the_header() -> None:
    known = identity_of(ROW, "1.2", header(IssuerOfPatientID="H", Manufacturer="ACME"))

    assert known == HeaderIdentity("a", "1.2", "P1", "H/1", simulated=False)
    assert identity_of(ROW, "1.2", header(PatientIdentityRemoved="YES")).header_patient == ""
    simulator = header(Manufacturer="osteoscreen", ManufacturerModelName="simulated CT")
    assert identity_of(ROW, "1.2", simulator).simulated


def test_a_series_in_two_folders_is_refused() -> None:
    with pytest.raises(IdentityError, match=r"series 1\.2 is in a and in b"):
        check_identities(
            [found("a", "1.2", "P1", ""), found("b", "1.2", "P2", "")], ignore_header_ids=True
        )


def test_one_id_of_two_patients_is_refused_unless_it_is_a_placeholder() -> None:
    both = [found("a", "1.2", "P1", "anon"), found("b", "1.3", "P2", "anon")]

    with pytest.raises(IdentityError, match=r"PatientID 'anon' .* patients 'P1', 'P2'"):
        check_identities(both, ignore_header_ids=False)
    assert check_identities(both, ignore_header_ids=True) == []


def test_two_ids_of_one_patient_are_listed() -> None:
    both = [found("a", "1.2", "P1", "7"), found("b", "1.3", "P1", "8")]

    assert check_identities(both, ignore_header_ids=False) == [
        "patient 'P1' has several PatientIDs in headers: '7', '8'"
    ]


def test_a_contradicting_sex_excludes_the_series() -> None:
    assert sex_exclusion([ROW], header(PatientSex="M")) == (
        "SEX_DIFFERS", "The sex is F in the manifest and M in the header."
    )  # fmt: skip
    for sex in ("F", "O", ""):
        assert sex_exclusion([ROW], header(PatientSex=sex)) is None
    assert sex_exclusion([replace(ROW, sex=None)], header(PatientSex="M")) is None
