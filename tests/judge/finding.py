"""What a judge says of an object, and which of its warnings stay with a reason."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MINUTES = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """One complaint of a judge about one file."""

    path: Path
    text: str
    is_error: bool = True


# Judge → what a warning of it looks like → why it stays (docs/decisions/0004-sr-and-sc.md).
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
        r"\"Qualitative Evaluations\"\)/CODE \(\w+,\w+,\"[\w ]+\"\)/CODE \(\w+,": (
            "side and reason of an evaluation: TID 1500 may be extended"
        ),
    },
    "dcmtk": {
        r"The VR checker does not support this Specific Character Set: ISO_IR 192": (
            "the values are right, the checker says what it lacks"
        ),
    },
}


def reason_of(judge: str, warning: str) -> str | None:
    """Why a warning stays; None for one that is new."""
    known = KNOWN_WARNINGS.get(judge, {})
    return next((why for what, why in known.items() if re.search(what, warning)), None)


def said(command: Sequence[str | Path], seconds: int = 2 * MINUTES) -> str:
    """All that a program prints."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, timeout=seconds, check=False
    )
    return (done.stdout + done.stderr).decode(errors="replace")
