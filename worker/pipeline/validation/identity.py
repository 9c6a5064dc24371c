"""Rule for the patient of a series: its images must be of one.

A person is identified by PatientID with its issuer, name, birth date and sex.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from common.dicom.patient_values import parse_date, stated_text
from worker.pipeline.header_values import distinct, encoded_values, items_of, text_of, value_of
from worker.pipeline.reasons import Reason, ReasonCode, RuleResult

UNDECODABLE = "\N{REPLACEMENT CHARACTER}"
ACCENTS = frozenset(map(chr, range(0x0300, 0x0370)))  # combining marks of NFKD
NAME_GROUPS = ("alphabetic", "ideographic", "phonetic")  # PS3.5 6.2.1
PUNCTUATION = str.maketrans(dict.fromkeys("-.,'’‐‑–_", " "))
COMPONENTS = 3  # family, given and middle name; prefix and suffix are not compared
MAX_NAME = 256  # a group has at most 64 characters; NFKD of a longer text takes long

IDENTIFYING = (
    "SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence", "PatientBirthDate", "PatientSex",
)  # fmt: skip

Attribute = tuple[str, str]
"""Keyword, and the part of its value that is compared."""
Identity = tuple[tuple[Attribute, object, str], ...]
"""The values that identify a patient: attribute, encoded value, normalized value."""


def one_patient(headers: Sequence[Dataset]) -> RuleResult:
    """Require one value of each attribute that identifies the patient; empty ones are ignored.

    The values are compared over all images, so that an image without a value does not join two
    patients. The reason counts the values and does not quote them.
    """
    return compare_identities([identity_of(headers)], "images")


def identity_of(headers: Iterable[Dataset]) -> Identity:
    """Return all values of images that identify their patient, each once."""
    different = distinct(headers, lambda ds: encoded_values(ds, IDENTIFYING))
    return tuple(dict.fromkeys(value for ds in different for value in _identity(ds)))


def compare_identities(identities: Iterable[Identity], what: str) -> RuleResult:
    """Require one value of each attribute over all identities, which ``what`` have."""
    counts = _counts_of_values(identities)
    several = [f"{count} values of {keyword}" for keyword, count in counts.items() if count > 1]
    if several:
        text = f"The {what} belong to several patients ({', '.join(several)})."
        return Reason(ReasonCode.MIXED, text)
    return f"One value of {', '.join(counts)}." if counts else "No image names a patient."


def is_same_patient(first: Identity, second: Identity) -> bool:
    """Return whether two identities agree: ID, issuer, name, birth date and sex.

    An attribute that one of them lacks agrees with any value.
    """
    return not isinstance(compare_identities([first, second], "results"), Reason)


def _counts_of_values(identities: Iterable[Identity]) -> dict[str, int]:
    """Return the number of different values of each attribute that has one.

    Bytes that are equal are one value, also where two character sets are stated for them.
    """
    texts: dict[Attribute, dict[object, str]] = {}
    for attribute, encoded, text in (value for identity in identities for value in identity):
        texts.setdefault(attribute, {}).setdefault(encoded, text)
    counts: dict[str, int] = {}
    for (keyword, _), values in texts.items():
        counts[keyword] = max(counts.get(keyword, 0), len(set(values.values())))
    return counts


def _identity(ds: Dataset) -> Iterable[tuple[Attribute, object, str]]:
    """Yield the attributes that can be compared: name, encoded value, normalized value.

    Of the sex only F and M: O is written for an unknown sex too. Of the birth date only one
    that can be read: 00000000 and others stand for none.
    """
    born = parse_date(stated_text(ds, "PatientBirthDate"))
    sex = text_of(ds, "PatientSex").upper()
    sex = {"FEMALE": "F", "MALE": "M"}.get(sex, sex)
    texts = {
        ("PatientID", ""): text_of(ds, "PatientID").strip("\0 "),
        ("IssuerOfPatientID", ""): text_of(ds, "IssuerOfPatientID").strip("\0 ").casefold(),
        ("IssuerOfPatientIDQualifiersSequence", ""): _universal_entity(ds),
        ("PatientBirthDate", ""): "" if born is None else born.isoformat(),
        ("PatientSex", ""): sex if sex in ("F", "M") else "",
    }
    for attribute, text in texts.items():
        if text:
            yield attribute, text, text
    yield from _names(ds)


def _universal_entity(ds: Dataset) -> str:
    """Return the universal identifier of the issuer (PS3.3 Table 10-18)."""
    items = items_of(ds, "IssuerOfPatientIDQualifiersSequence")[:1]
    return "".join(text_of(item, "UniversalEntityID") for item in items)


def _names(ds: Dataset) -> Iterable[tuple[Attribute, object, str]]:
    """Yield the components of PatientName that can be compared, one by one.

    A middle name that one image lacks does not make another patient.

    Groups with bytes that the character set does not describe cannot. Those beside an
    alphabetic group are not compared: systems add, omit and transcribe them.
    """
    value = value_of(ds, "PatientName")
    value = value[0] if isinstance(value, MultiValue) and value else value
    name = PersonName(value) if isinstance(value, str) else value
    if not isinstance(name, PersonName):
        return
    groups = {group: normalized_name(getattr(name, group)) for group in NAME_GROUPS}
    for group in ("alphabetic",) if groups["alphabetic"] else NAME_GROUPS[1:]:
        if groups[group] and UNDECODABLE not in groups[group]:
            encoded = name.original_string or str(name)
            for place, part in enumerate(groups[group].split("^")[:COMPONENTS]):
                if part:
                    yield ("PatientName", f"{group} {place}"), encoded, part


@lru_cache(maxsize=16)  # the images of a series repeat it
def normalized_name(group: str) -> str:
    """Normalize a component group: case, accents, punctuation, spaces and trailing ``^``.

    A comma ends the family name where no ``^`` does.
    """
    text = unicodedata.normalize("NFKD", group[:MAX_NAME]).casefold().replace("\0", " ")
    text = "".join(letter for letter in text if letter not in ACCENTS)
    text = text if "^" in text else text.replace(",", "^", 1)
    text = text.translate(PUNCTUATION)
    return "^".join(" ".join(part.split()) for part in text.split("^")).rstrip("^")
