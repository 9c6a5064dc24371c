"""What a header says about the kind of an image: Image Type, derivation and descriptions.

Every text has the name of its source, which a reason may quote; the text itself may hold
patient data and is never quoted.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom import Dataset

from worker.pipeline.header_values import items_of, read_each, text_of, value_of

# Longest value that VR ST allows (PS3.5 6.2), and more values than any Image Type has: damaged
# headers hold megabytes.
MAX_CHARACTERS, MAX_VALUES = 1024, 32
# Image Type of the object and Frame Type of one frame (PS3.3 C.8.16.1).
IMAGE_TYPES = ("ImageType", "FrameType")

# "for MIP" and "without MIP" describe images that are none. "non-contrast MIP" is one.
_DENIED = re.compile(
    r"(?<![a-z])(?:for|no|non|not|without|w/o|ohne|sans|pour|fur|sin|para)"
    r"(?:[\s\-/,&+]|3d|mpr|and)*$"
)
# "thinMIP" is written for "thin MIP".
_JOINED = re.compile(r"(?<=[a-z])(?=(?:M[ai]x|Min)?(?:MIP|IP|VNC|VMI|VRT|VUE)s?(?![A-Za-z]))")

SOURCES = (
    "SpecificCharacterSet", *IMAGE_TYPES, "DerivationImageSequence", "DerivationCodeSequence",
    "DerivationDescription", "SeriesDescription",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImageTexts:
    """The texts of one header, lower case without accents, except ``terms``.

    ``terms`` : values of Image Type and Frame Type in capitals.
    ``codes`` : DICOM codes of Derivation Code Sequence (PS3.16 CID 7203).
    ``derivations`` : Derivation Description of the image and of its source references.
    ``series`` : Series Description.
    """

    terms: tuple[str, ...]
    codes: tuple[str, ...]
    derivations: tuple[str, ...]
    series: str

    @property
    def types(self) -> tuple[str, ...]:
        """Return the values of Image Type and Frame Type as ``plain`` text."""
        return tuple(plain(term) for term in self.terms)


def texts_of(ds: Dataset) -> ImageTexts:
    """Read the texts of a single-frame image or of one frame."""
    levels = (ds, *items_of(ds, "DerivationImageSequence"))
    codes = (item for each in levels for item in items_of(each, "DerivationCodeSequence"))
    return ImageTexts(
        image_types_of(ds),
        tuple(
            text_of(item, "CodeValue")
            for item in codes
            if text_of(item, "CodingSchemeDesignator") == "DCM"
        ),
        tuple(filter(None, (plain(text_of(each, "DerivationDescription")) for each in levels))),
        plain(text_of(ds, "SeriesDescription")),
    )


def texts_of_each(headers: Iterable[Dataset]) -> list[ImageTexts]:
    """Return the texts of each image, which most images of a series share."""
    return read_each(headers, SOURCES, texts_of)


def image_types_of(ds: Dataset) -> tuple[str, ...]:
    """Return the values of Image Type and Frame Type in capitals."""
    found: list[str] = []
    for keyword in IMAGE_TYPES:
        value = value_of(ds, keyword)
        values = (
            value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        )
        found += [
            str(item)[:MAX_CHARACTERS].strip().upper() for item in values[:MAX_VALUES] if item
        ]
    return tuple(found)


def plain(text: str) -> str:
    """Return text in lower case, without accents, underscores and repeated spaces."""
    spaced = _JOINED.sub(" ", text[:MAX_CHARACTERS]).replace("_", " ")
    return " ".join(without_accents(spaced).lower().split())


def without_accents(text: str) -> str:
    """Return text without combining marks, in any script."""
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def states(pattern: re.Pattern[str], text: str) -> bool:
    """Return whether a plain text states what the pattern describes and does not deny it."""
    return any(not _DENIED.search(text[: found.start()]) for found in pattern.finditer(text))
