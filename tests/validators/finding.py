"""Findings of validators, and the warnings that are accepted with a reason."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """An error or a warning of a validator about one file."""

    path: Path
    text: str
    is_error: bool = True


# Validator → pattern of a warning → why it is accepted. docs/decisions/0004-sr-and-sc.md lists
# the reasons in the same words.
KNOWN_WARNINGS: Mapping[str, Mapping[str, str]] = {
    "dciodvfy": {
        r"CodingSchemeDesignator.* - Unrecognized defined term = <99OSTEOSCREEN>": (
            "private code, declared in CodingSchemeIdentificationSequence"
        ),
        r"CodingSchemeDesignator.* - Unrecognized defined term = <99LOCAL>": (
            "the site's own procedure code travels"
        ),
        r"CodingSchemeUID.* - Unrecognized defined term = <2\.25\.": (
            "UID of the private coding scheme"
        ),
        r"ContributingEquipmentSequence.*DeviceUID.* - Attribute is not present in standard": (
            "IHE AIR requires DeviceUID; the tool's tables are older"
        ),
        r"\[PN\] = .* - Retired Person Name form": (
            "a name of one component, as the source has it"
        ),
        r"(ImageType|FrameType).* - Unrecognized defined term = <QUANTITY>": (
            "the term that PS3.3 C.8.32.2 has for a parametric map; the tool's tables are older"
        ),
        r"Missing attribute or value that would be needed to build DICOMDIR": (
            "the source lacks it; inventing one is worse"
        ),
    },
    "PixelMed": {
        r"/CODE \(BMD_CLASS,.*\): Content Item not in template": (
            "qualitative evaluation (TID 1410 and 1501); the tables of 2022 lack its row"
        ),
        r"/TEXT \(121106,DCM,\"Comment\"\): Content Item not in template": (
            "qualitative evaluation in words; the tables of 2022 lack its row"
        ),
        r"\(130401,.*/CODE \(370129005,SCT,\"Measurement Method\"\): Content Item not in": (
            "names the method out of CID 217"
        ),
        r"\((121073|121074|121075|121080),DCM,\"[\w ]+\"\): Content Item not in template": (
            "impression, recommendation and result picture: TID 1500 may be extended"
        ),
        r"/CODE \(123014,DCM,\"Target Region\"\): Content Item not in": (
            "body part of the procedure: TID 1500 may be extended"
        ),
        r"/CODE \(130400,DCM,\"Geometric purpose of region\"\): Content Item not in": (
            "TID 1410, row 3c; the tables of 2022 lack it"
        ),
        r"/IMAGE \(121112,DCM,\"Source of Measurement\"\): Content Item not in": (
            "source slice through the neck: TID 1410 may be extended"
        ),
        r"\"Qualitative Evaluations\"\)/CODE \(\w+,\w+,\"[\w ]+\"\)/CODE \(\w+,": (
            "side and reason of an evaluation: TID 1500 may be extended"
        ),
        r"/NUM \(P_\w+,99OSTEOSCREEN,.*/CODE \(121071,DCM,\"Finding\"\): Content Item not in": (
            "names what the probability is of (TID 1419, row 6); 2025 does not apply that row"
        ),
    },
    "dcmtk": {
        r"The VR checker does not support this Specific Character Set: ISO_IR 192": (
            "the values are right, the checker says what it lacks"
        ),
        r"^W: Check for template constraints not yet supported": (
            "key object selection: dcmtk does not check its template, PixelMed does"
        ),
    },
}


def known_reason(validator: str, warning: str) -> str | None:
    """Return why a warning is accepted, or None if it is unknown."""
    known = KNOWN_WARNINGS.get(validator, {})
    return next((why for pattern, why in known.items() if re.search(pattern, warning)), None)
