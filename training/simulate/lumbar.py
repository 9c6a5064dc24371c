"""Simulated patient whose lumbar spine is described: number of vertebrae, ribs, variants."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from training.simulate.subject import Subject, sample_subject

THORACIC = ("T12", "T11", "T10", "T9")
# How far the last rib reaches from the middle; a transverse process ends 35–50 mm from it.
LAST_RIB_MM = (85.0, 8.0, 72.0, 100.0)
SHORT_RIB_MM = (36.0, 48.0)


@dataclass(frozen=True, slots=True)
class LumbarAnatomy:
    """What varies in a spine; index 0 is the vertebra above the sacrum.

    ``lumbar`` : number of lumbar vertebrae. ``last_rib_mm`` : how far the ribs of T12 reach
    from the middle, of an average woman. ``sacralized`` : whether the lowest vertebra has
    wings that join the ilium. ``height_shares`` : height of each body relative to its usual
    one; under 0.8 is a compression fracture. ``density_shares`` : mineral of each body
    relative to the patient's.
    """

    lumbar: int
    last_rib_mm: float
    sacralized: bool
    height_shares: tuple[float, ...]
    density_shares: tuple[float, ...]

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the vertebrae from the sacrum upwards."""
        return *(f"L{number}" for number in range(self.lumbar, 0, -1)), *THORACIC

    @property
    def countable(self) -> bool:
        """Whether counting from the sacrum and from the last rib gives the true levels."""
        return self.lumbar == 5 and not self.sacralized and self.last_rib_mm > SHORT_RIB_MM[1]


@dataclass(frozen=True, slots=True)
class SpineSubject(Subject):
    """A patient with a described spine."""

    lumbar: LumbarAnatomy


def sample_spine_subject(
    rng: np.random.Generator, *, lumbar: dict[str, Any] | None = None, **fixed: Any
) -> SpineSubject:
    """Return a random patient with a described spine.

    ``lumbar`` : fields of ``LumbarAnatomy`` that are fixed. ``fixed`` : as of
    ``sample_subject``. Raises TypeError for unknown names.
    """
    subject = sample_subject(rng, **fixed)
    known = {field.name: getattr(subject, field.name) for field in fields(Subject)}
    return SpineSubject(**known, lumbar=replace(sample_lumbar(rng), **(lumbar or {})))


def sample_lumbar(rng: np.random.Generator) -> LumbarAnatomy:
    """Return a random spine; about one in five has a variant of its levels.

    The shares of variants are larger than in patients, so that each is met.
    """
    variant = rng.choice(
        ("none", "four", "six", "sacralized", "short ribs"), p=(0.8, 0.05, 0.05, 0.05, 0.05)
    )
    mean, sd, low, high = LAST_RIB_MM
    rib = float(np.clip(rng.normal(mean, sd), low, high))
    heights = 1.0 - np.abs(rng.normal(0.0, 0.03, 10))
    if rng.random() < 0.15:
        heights[rng.integers(1, 6)] = rng.uniform(0.55, 0.72)
    return LumbarAnatomy(
        lumbar={"four": 4, "six": 6}.get(str(variant), 5),
        last_rib_mm=float(rng.uniform(*SHORT_RIB_MM)) if variant == "short ribs" else rib,
        sacralized=variant == "sacralized",
        height_shares=tuple(heights.tolist()),
        density_shares=tuple(np.clip(rng.normal(1.0, 0.08, 10), 0.8, 1.2).tolist()),
    )
