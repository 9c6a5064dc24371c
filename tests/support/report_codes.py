"""Rules for the codes of our SR, whose meanings are those of PS3.16."""

import re
from collections.abc import Iterable, Iterator
from functools import cache

from pydicom import Dataset
from pydicom.sr._concepts_dict import concepts

PRIVATE = "99OSTEOSCREEN"
LOCAL_CODE_SEQUENCES = ("PerformedProcedureCodeSequence", "RequestedProcedureCodeSequence")


def code_violations(sr: Dataset) -> Iterator[str]:
    """Yield the violated rules for codes: meanings, lengths, private scheme."""
    schemes = sr.get("CodingSchemeIdentificationSequence", ())
    declared = {item.CodingSchemeDesignator for item in schemes}
    meanings: dict[tuple[str, str], set[str]] = {}
    for code in _coded(sr):
        meanings.setdefault((code.CodeValue, code.CodingSchemeDesignator), set()).add(
            code.CodeMeaning
        )
        public = public_meanings().get((code.CodingSchemeDesignator, code.CodeValue))
        if public and code.CodeMeaning not in public:
            yield f"altered meaning: {code.CodeMeaning}"
        if len(code.CodeValue) > 16 or len(code.CodeMeaning) > 64:
            yield f"code too long: {code.CodeValue}"
        if code.CodingSchemeDesignator == PRIVATE and PRIVATE not in declared:
            yield "private scheme not declared"
    ambiguous = [key for key, different in meanings.items() if len(different) > 1]
    yield from (f"two meanings of {key}" for key in ambiguous)


def _coded(sr: Dataset) -> Iterable[Dataset]:
    """Yield every code of the document, header included, except local procedure codes."""
    for element in sr.iterall():
        if element.VR == "SQ" and element.keyword not in LOCAL_CODE_SEQUENCES:
            yield from (item for item in element.value if "CodeMeaning" in item)


@cache
def public_meanings() -> dict[tuple[str, str], set[str]]:
    """Return the meanings of (scheme, value) in PS3.16, with and without semantic tags."""
    meanings: dict[tuple[str, str], set[str]] = {}
    for scheme, keywords in concepts.items():
        for known in keywords.values():
            for code_value, (meaning, _) in known.items():
                plain = re.sub(r" \([a-z ]+\)$", "", meaning)
                meanings.setdefault((scheme, code_value), set()).update((meaning, plain))
    return meanings
