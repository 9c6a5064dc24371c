"""Rules by which the series of a study that may be screened are ordered, one function a rule.

Each returns a number, the lowest of which is preferred, and the words for it. The kernel comes
before the plane: a sharp kernel changes the texture that the model grades more than an axial
source does, which is reformatted to coronal planes.
"""

from collections.abc import Callable, Mapping

from worker.pipeline.ranking.series_facts import SeriesFacts

Place = tuple[float, str]
"""A number, lower before higher, and the value in words."""

# The paper's coronal reformats (Ha 2024).
CORONAL_MM = (2.0, 4.0)
THIN_AXIAL_MM, MEDIUM_AXIAL_MM = 3.0, 5.0


def by_kernel(facts: SeriesFacts) -> Place:
    """Prefer a kernel for soft tissue; an unknown one may be either."""
    place = ("soft", "unknown", "sharp").index(facts.kernel)
    return place, f"{facts.kernel} kernel"


def by_plane(facts: SeriesFacts) -> Place:
    """Prefer coronal slices as those of the paper, then other coronal, then thin axial ones."""
    mm = facts.thickness_mm
    thickness = "thickness not stated" if mm is None else f"{mm:g} mm"
    words = f"{facts.orientation}, {thickness}"
    if facts.orientation == "coronal":
        low, high = CORONAL_MM
        as_published = mm is not None and low <= mm <= high and facts.phase != "other"
        return (0 if as_published else 1), words
    if mm is None or mm > MEDIUM_AXIAL_MM:
        return 4, words
    return (2 if mm <= THIN_AXIAL_MM else 3), words


def by_phase(facts: SeriesFacts) -> Place:
    """Prefer the portal phase, in which the model's training scans were acquired."""
    place = ("portal", "unknown", "other").index(facts.phase)
    words = {"portal": "portal phase", "unknown": "phase not stated", "other": "other phase"}
    return place, words[facts.phase]


def by_originality(facts: SeriesFacts) -> Place:
    """Prefer original over derived images, which may be interpolated or filtered."""
    return (0, "original") if facts.original else (1, "derived")


def by_coverage(facts: SeriesFacts) -> Place:
    """Prefer more of the body: both hips are more likely to be in view."""
    return -facts.covered_l, f"covers {facts.covered_l:.1f} l"


ORDER: Mapping[str, tuple[str, Callable[[SeriesFacts], Place]]] = {
    "kernel": ("soft before sharp", by_kernel),
    "plane": (
        f"coronal of {CORONAL_MM[0]:.0f} to {CORONAL_MM[1]:.0f} mm, other coronal, axial up to "
        f"{THIN_AXIAL_MM:.0f} mm, up to {MEDIUM_AXIAL_MM:.0f} mm, thicker",
        by_plane,
    ),
    "phase": ("portal before others", by_phase),
    "original": ("original before derived", by_originality),
    "coverage": ("more before less", by_coverage),
}
"""Rule → its order in words and its function; the first rules decide first."""


def places_of(facts: SeriesFacts) -> tuple[Place, ...]:
    """Return the place of a series by each rule of ``ORDER``."""
    return tuple(rule(facts) for _, rule in ORDER.values())
