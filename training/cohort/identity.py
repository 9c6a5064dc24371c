"""Identity of patients and series: what the headers say beside the manifest.

A patient under two names in the manifest would be in two parts of the split.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom import Dataset

from training.cohort.manifest import ManifestRow
from worker.pipeline.header_values import text_of

SEX_DIFFERS = "SEX_DIFFERS"
SIMULATOR = ("osteoscreen", "simulated CT")
"""Manufacturer and ManufacturerModelName of ``training simulate``."""


class IdentityError(ValueError):
    """Manifest and headers contradict each other; the message has one line per case."""


@dataclass(frozen=True, slots=True)
class HeaderIdentity:
    """Identity of one series of the manifest.

    ``patient`` : of the manifest. ``header_patient`` : issuer and PatientID, ``""`` where the
    header has none or PatientIdentityRemoved (0012,0062) is YES.
    """

    series_dir: str
    series_uid: str
    patient: str
    header_patient: str
    simulated: bool


def identity_of(row: ManifestRow, series_uid: str, header: Dataset) -> HeaderIdentity:
    """Return the identity that a header states."""
    patient = text_of(header, "PatientID")
    if text_of(header, "PatientIdentityRemoved").upper() == "YES":
        patient = ""
    issuer = text_of(header, "IssuerOfPatientID")
    return HeaderIdentity(
        series_dir=str(row.series_dir),
        series_uid=series_uid,
        patient=row.patient_id,
        header_patient=f"{issuer}/{patient}" if patient and issuer else patient,
        simulated=(text_of(header, "Manufacturer"), text_of(header, "ManufacturerModelName"))
        == SIMULATOR,
    )


def sex_exclusion(rows: Sequence[ManifestRow], header: Dataset) -> tuple[str, str] | None:
    """Return code and text of an exclusion where manifest and header state another sex."""
    in_header = text_of(header, "PatientSex").upper()
    for row in rows:
        if row.sex and in_header in ("F", "M") and row.sex != in_header:
            text = f"The sex is {row.sex} in the manifest and {in_header} in the header."
            return SEX_DIFFERS, text
    return None


def check_identities(found: Sequence[HeaderIdentity], *, ignore_header_ids: bool) -> list[str]:
    """Return what is worth a look: patients of the manifest with several IDs in headers.

    Raises IdentityError for a series in two folders, and unless ``ignore_header_ids`` for one
    ID in the headers of two patients of the manifest.
    """
    problems = [
        f"series {uid} is in {' and in '.join(folders)}; leave one of them in the manifest"
        for uid, folders in _groups((one.series_uid, one.series_dir) for one in found).items()
        if len(folders) > 1
    ]
    stated = [one for one in found if one.header_patient and not ignore_header_ids]
    of_header = _groups((one.header_patient, one.patient) for one in stated)
    problems += [
        f"PatientID {header!r} is in the headers of the patients {_quoted(patients)}; give one "
        "patient_id, or --ignore-header-ids where the IDs in headers are placeholders"
        for header, patients in of_header.items()
        if len(patients) > 1
    ]
    if problems:
        raise IdentityError("\n".join(["the identities contradict each other:", *problems]))
    of_patient = _groups((one.patient, one.header_patient) for one in stated)
    return [
        f"patient {patient!r} has several PatientIDs in headers: {_quoted(headers)}"
        for patient, headers in of_patient.items()
        if len(headers) > 1
    ]


def _groups(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for key, value in pairs:
        groups[key][value] = None
    return {key: list(values) for key, values in groups.items()}


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
