"""Comparison of Patient Orientation with Image Orientation (Patient).

PS3.3 C.7.6.1.1.1 requires that they agree. Where they do not, the pixels were mirrored or
turned after one of the two was written, and left and right are uncertain.
"""

import re
from collections.abc import Sequence

import numpy as np
from pydicom import Dataset

from worker.pipeline.header_values import Array, directions_of, text_of, value_of
from worker.pipeline.reasons import Reason, ReasonCode, RuleResult

# Letters of a biped and of a quadruped (PS3.3 C.7.6.1.1.1) → patient LPS.
BIPED = {
    "L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0),
    "H": (0, 0, 1), "F": (0, 0, -1),
}  # fmt: skip
QUADRUPED = {
    "LE": (1, 0, 0), "RT": (-1, 0, 0), "D": (0, 1, 0), "V": (0, -1, 0),
    "CR": (0, 0, 1), "CD": (0, 0, -1),
}  # fmt: skip
# A direction between three axes is 55° away from each; the letters name the nearest.
MIN_COSINE = 0.5
# A further letter may name a small angle, rounded to either side.
MIN_FURTHER_COSINE = -0.5


def contradicting_orientation(headers: Sequence[Dataset]) -> RuleResult:
    """Require agreement of both orientations; apply after ``no_geometry``.

    Absent and malformed values of Patient Orientation are ignored.
    """
    stated = [(ds, found) for ds in headers if any(found := _stated(ds))]
    contradicting = [
        (ds, found) for ds, found in stated if _contradicts(found, directions_of(ds))
    ]
    if not contradicting:
        return f"Patient Orientation is stated for {len(stated)} images and agrees."
    ds, found = contradicting[0]
    text = (
        f"Patient Orientation {_words(found)} contradicts Image Orientation (Patient), which "
        f"means {_words(_nearest(directions_of(ds)))}, in {len(contradicting)} of "
        f"{len(headers)} images."
    )
    return Reason(ReasonCode.ORIENTATION, text)


def _stated(ds: Dataset) -> tuple[tuple[str, ...], ...]:
    """Return the letters of the row and of the column, none where a value is malformed."""
    value = value_of(ds, "PatientOrientation")
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        return ()
    quadruped = text_of(ds, "AnatomicalOrientationType").upper() == "QUADRUPED"
    return tuple(_letters(str(item).strip().upper(), quadruped) for item in value)


def _letters(text: str, quadruped: bool) -> tuple[str, ...]:
    for letters in (QUADRUPED,) if quadruped else (BIPED, QUADRUPED):
        if re.fullmatch(rf"(?:{'|'.join(letters)}){{1,3}}", text):
            found = tuple(re.findall("|".join(letters), text))
            axes = np.abs([letters[letter] for letter in found]).sum(axis=0)
            return found if axes.max() == 1 else ()
    return ()


def _contradicts(stated: Sequence[tuple[str, ...]], directions: Array | None) -> bool:
    if directions is None:
        return False
    for letters, direction in zip(stated, directions, strict=True):
        if letters:
            cosines = [float(np.dot(_AXES[letter], direction)) for letter in letters]
            if max(cosines) < MIN_COSINE or min(cosines) < MIN_FURTHER_COSINE:
                return True
    return False


def _nearest(directions: Array | None) -> tuple[tuple[str, ...], ...]:
    if directions is None:
        return ()
    return tuple(
        (max(BIPED, key=lambda letter: float(np.dot(BIPED[letter], direction))),)
        for direction in directions
    )


def _words(letters: Sequence[tuple[str, ...]]) -> str:
    return "/".join("".join(each) or "?" for each in letters)


_AXES = {**BIPED, **QUADRUPED}
