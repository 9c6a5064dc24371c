"""Virtual monoenergetic images: accepted near the effective energy of 120 kV, with a warning.

The energy is taken from the attribute of PS3.3 C.8.15.3.12, otherwise from texts.
"""

import re
from collections.abc import Sequence

from pydicom import Dataset

from worker.pipeline.header_values import items_of, number_of
from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.validation.image_texts import ImageTexts, states, texts_of_each
from worker.pipeline.volume import Series

# Radiol Res Pract 2012, 150980, Table 1: oil −127 and contrast medium 591 HU at 70 keV, −119
# and 506 HU at 120 kV.
ENERGIES_KEV = (65.0, 80.0)

# The weighted sum of two energies (PS3.3 C.8.15.2.1.1.5) may state an equivalent energy.
WEIGHTED_SUM = "ENERGY_PROP_WT"
CHARACTERISTICS = ("MultienergyCTCharacteristicsSequence", "MultienergyCTProcessingSequence")

_KEV = re.compile(r"(?<![\d.])(\d{2,3})(?:\.0+)?[ -]*kev(?![a-z])|(?<![a-z])kev[ =:]*(\d{2,3})")
_MONO = re.compile(
    r"(?<![a-z])(?:vmi|mono[ -]*(?:e(?:n?erg\w*)?|chrom\w*|plus|\+)|mono(?![a-z])"
    r"(?![ -]*(?:phas|source|block|later|segm|plan)))(?![a-z])(?:[ -]*(?:plus|\+))?"
    r"[ =:(+-]*(\d{2,3}(?![\d.]))?"
)


def monoenergetic(headers: Sequence[Dataset]) -> RuleResult:
    """Accept monoenergetic images of ``ENERGIES_KEV`` only: bone depends on the energy."""
    energies = energies_of(headers)
    if not energies:
        return "No image is said to be monoenergetic."
    low, high = ENERGIES_KEV
    expected = f"{low:.0f} to {high:.0f} keV are accepted"
    if None in energies:
        text = f"Monoenergetic images of an energy that is not stated, {expected}."
        return Reason(ReasonCode.NOT_CT, text)
    outside = sorted(kev for kev in energies if kev is not None and not low <= kev <= high)
    if outside:
        text = f"Monoenergetic images of {outside[0]:.0f} keV, {expected}."
        return Reason(ReasonCode.NOT_CT, text)
    return f"Monoenergetic images of {_listed(energies)} keV."


def monoenergetic_warning(series: Series) -> str | None:
    """Return a warning where the images are monoenergetic: no training scan is."""
    energies = energies_of(series.headers)
    if not energies:
        return None
    return (
        f"Monoenergetic images of {_listed(energies)} keV: "
        "the model was trained on images of a tube voltage."
    )


def energies_of(headers: Sequence[Dataset]) -> frozenset[float | None]:
    """Return the energies of the monoenergetic images in keV, None where one is not stated.

    Empty where no image is monoenergetic.
    """
    known: dict[ImageTexts, frozenset[float | None]] = {}
    found: frozenset[float | None] = frozenset()
    for ds, texts in zip(headers, texts_of_each(headers), strict=True):
        if texts not in known:
            known[texts] = _energies_in(texts)
        stated = frozenset() if WEIGHTED_SUM in texts.terms else _stated(ds)
        numbers = known[texts] - {None}
        found |= (stated | numbers) or known[texts]
    return found


def _stated(ds: Dataset) -> frozenset[float | None]:
    """Return Monoenergetic Energy Equivalent of an image, from any level of its header."""
    levels = [ds]
    for keyword in CHARACTERISTICS:
        levels += items_of(ds, keyword)
    energies = (number_of(each, "MonoenergeticEnergyEquivalent") for each in levels)
    return frozenset(kev for kev in energies if kev is not None and kev > 0)


def _energies_in(texts: ImageTexts) -> frozenset[float | None]:
    found: set[float | None] = set()
    for text in (*texts.types, *texts.derivations, texts.series):
        numbers = [before or after for before, after in _KEV.findall(text)]
        if not numbers and states(_MONO, text):
            numbers = _MONO.findall(text)
        found.update(float(number) if number else None for number in numbers)
    return frozenset(found)


def _listed(energies: frozenset[float | None]) -> str:
    return ", ".join(f"{kev:.0f}" for kev in sorted(kev for kev in energies if kev is not None))
